# ruff: noqa: T201
"""Asks `GET /livez` twenty times a second while two clients send full batches: `python probes.py URL`."""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from client import Connection, load, milliseconds, transaction

ROWS = 1024
INTERVAL_SECONDS = 0.05


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--path", default="/score/batch", help="where the batches go")
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long the batches go on")
    given = parser.parse_args()
    body = json.dumps({"rows": [transaction()] * ROWS}).encode()
    probing = True
    batches = asyncio.create_task(load(given.url, given.path, body, given.clients, lambda: probing))
    await asyncio.sleep(0.5)
    seconds = []
    until = time.monotonic() + given.seconds
    while time.monotonic() < until:
        # A connection of its own each time, as a probe has.
        async with Connection(given.url) as connection:
            seconds.append((await connection.ask("GET", "/livez"))[1])
        await asyncio.sleep(INTERVAL_SECONDS)
    probing = False
    statuses = await batches
    print(f"{len(seconds)} probes:", milliseconds(seconds))
    print(f"batches of {ROWS}:", ", ".join(f"{n} answered {code}" for code, n in sorted(statuses.items())))


asyncio.run(main())
