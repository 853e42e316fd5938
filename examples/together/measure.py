"""What each way costs: python -m examples.together.measure writes docs/book/together.json, which the book shows.

One client, one connection to each, one request at a time, in turn, so that what drifts drifts for all.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from examples.together.__main__ import PAYMENT
from examples.together.processes import ROOT, Ports, supervisor

OUT = ROOT / "docs" / "book" / "together.json"
ROUNDS = 20
TRANSACTION = ROOT / "examples" / "transaction.json"


def payments() -> Iterator[bytes]:
    """One card that pays once a minute."""
    start = datetime.fromisoformat(str(PAYMENT["at"]))
    for number in count(2):
        at = (start + timedelta(minutes=number)).isoformat()
        yield json.dumps({**PAYMENT, "payment_id": number, "at": at}).encode()


def asking(url: str, bodies: Iterator[bytes]) -> Callable[[], float]:
    """A request on a connection that stays open; returns its milliseconds."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)

    def ask() -> float:
        body = next(bodies)
        start = time.perf_counter()
        connection.request("POST", address.path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        seconds = time.perf_counter() - start
        if answer.status != 200:
            sys.exit(f"Error: {url} answered {answer.status}: {text.decode()}")
        return seconds * 1000

    return ask


def measure(ports: Ports, requests: int) -> dict[str, list[float]]:
    """Milliseconds of each request, by name."""
    row = TRANSACTION.read_bytes()
    ways = {"BentoML alone, POST /score": asking(f"http://127.0.0.1:{ports.scorer}/score", iter(lambda: row, None))}
    ways |= {f"{name}, POST /payments": asking(url, payments()) for name, url in ports.payments.items()}
    for ask in ways.values():
        for _ in range(100):
            ask()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, ask in ways.items():
            found[name] += [ask() for _ in range(requests // ROUNDS)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.together.measure", description=__doc__)
    for name, port in vars(Ports()).items():
        parser.add_argument(f"--{name}", type=int, default=port, metavar="PORT", help=f"default {port}")
    parser.add_argument("--requests", type=int, default=2000, help="each way; default 2000")
    parser.add_argument("--out", type=Path, default=OUT)
    options = vars(parser.parse_args())
    requests, out = options.pop("requests"), options.pop("out")
    ports = Ports(**options)

    def keep() -> None:
        found = measure(ports, requests)
        ways = {
            name: {f"p{q}": round(float(np.percentile(values, q)), 3) for q in (50, 90, 99)}
            for name, values in found.items()
        }
        run = {
            "date": datetime.now(UTC).date().isoformat(),
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 1),
            "python": platform.python_version(),
            "requests": requests,
        }
        out.write_text(json.dumps({**run, "milliseconds": ways}, indent=1) + "\n")
        print(f"wrote {out}\n{json.dumps(ways, indent=1)}", flush=True)  # noqa: T201
        os.kill(os.getpid(), signal.SIGINT)

    sys.exit(supervisor(ports).run(keep))


if __name__ == "__main__":
    main()
