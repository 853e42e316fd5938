# ruff: noqa: T201
"""Sends requests without end and says every second what came of them: `python steady.py URL --seconds 10`."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter

from client import Connection, transaction

PAUSE_SECONDS = 0.005


async def client(url: str, body: bytes, until: float, outcomes: Counter[str]) -> None:
    """One request after the other. A broken connection is noted and opened again; the request is not sent again."""
    while time.monotonic() < until:
        try:
            async with Connection(url) as connection:
                while time.monotonic() < until:
                    status, _, _ = await connection.ask("POST", "/score", body)
                    outcomes[f"answered {status}"] += 1
                    await asyncio.sleep(PAUSE_SECONDS)
        except (OSError, EOFError):
            outcomes["broken"] += 1
            await asyncio.sleep(PAUSE_SECONDS)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    body = json.dumps({"features": transaction()}).encode()
    total: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    until = time.monotonic() + given.seconds
    clients = [asyncio.create_task(client(given.url, body, until, outcomes)) for _ in range(given.connections)]
    while not all(task.done() for task in clients):
        await asyncio.wait(clients, timeout=1.0)
        print(", ".join(f"{n} {what}" for what, n in sorted(outcomes.items())) or "nothing answered", flush=True)
        total += outcomes
        outcomes.clear()
    print("in all:", ", ".join(f"{n} {what}" for what, n in sorted(total.items())))


asyncio.run(main())
