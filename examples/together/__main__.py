"""FastAPI and BentoML together, both ways: python -m examples.together

Starts three processes and sends one payment to the product's API in front of BentoML, and to the same API mounted in a
Bento. Ctrl-C stops them; --once does after the answers.
"""

import argparse
import json
import os
import signal
import sys

import httpx

from examples.together.processes import Ports, supervisor

PAYMENT = {"payment_id": 1, "card": "card 7", "shop": "shop 3", "amount": 257.16, "at": "2026-03-14T15:09:26"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.together", description=__doc__)
    for name, port in vars(Ports()).items():
        parser.add_argument(f"--{name}", type=int, default=port, metavar="PORT", help=f"default {port}")
    parser.add_argument("--once", action="store_true", help="stop after one payment each way")
    options = vars(parser.parse_args())
    once = options.pop("once")
    ports = Ports(**options)

    def ask() -> None:
        for name, url in ports.payments.items():
            answer = httpx.post(url, json=PAYMENT)
            print(f"{name}: POST {url}\n  {answer.status_code} {json.dumps(answer.json())}", flush=True)  # noqa: T201
        if once:
            os.kill(os.getpid(), signal.SIGINT)

    sys.exit(supervisor(ports).run(ask))


if __name__ == "__main__":
    main()
