# ruff: noqa: T201
"""One client alone, then many at once, then one alone again: `python burst.py URL`."""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from client import Connection, load, milliseconds, transaction


async def alone(url: str, requests: int) -> list[float]:
    """Seconds of each of `requests`, sent one after the other."""
    body = json.dumps({"features": transaction()}).encode()
    async with Connection(url) as connection:
        return [(await connection.ask("POST", "/score", body))[1] for _ in range(requests)]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=6.0, help="how long the burst lasts")
    parser.add_argument("--requests", type=int, default=50, help="that the lone client sends before and after")
    given = parser.parse_args()
    print("alone before:", milliseconds(await alone(given.url, given.requests)))
    body = json.dumps({"features": transaction()}).encode()
    until = time.monotonic() + given.seconds
    statuses = await load(given.url, "/score", body, given.connections, lambda: time.monotonic() < until)
    print(f"burst of {given.connections}:", ", ".join(f"{n} answered {code}" for code, n in sorted(statuses.items())))
    print("alone after: ", milliseconds(await alone(given.url, given.requests)))


asyncio.run(main())
