"""A small HTTP/1.1 client over asyncio, quick enough to load a service from one process. For the exercises only."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

TRANSACTION = Path(__file__).parents[1] / "transaction.json"


def transaction() -> list[float | None]:
    """The features of the example transaction, 42 numbers."""
    features: list[float | None] = json.loads(TRANSACTION.read_text())["features"]
    return features


class Connection:
    """One connection that is kept open; use it as an asynchronous context manager.

    Args:
        url: of a service, such as http://127.0.0.1:8000.
    """

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 80

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, float, bytes]:
        """Status, seconds and body of one exchange. Raises OSError or EOFError where the connection breaks."""
        began = time.perf_counter()
        lines = [f"{method} {path} HTTP/1.1", f"host: {self._host}"]
        if body:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
        answer = await self._reader.readexactly(int(length.partition(":")[2]))
        return int(head.split()[1]), time.perf_counter() - began, answer


async def load(url: str, path: str, body: bytes, connections: int, going: Callable[[], bool]) -> Counter[int]:
    """Sends `body` over and over on every connection while `going()`; returns how often each status came."""
    statuses: Counter[int] = Counter()

    async def client() -> None:
        async with Connection(url) as connection:
            while going():
                status, _, _ = await connection.ask("POST", path, body)
                statuses[status] += 1

    await asyncio.gather(*(client() for _ in range(connections)))
    return statuses


def milliseconds(seconds: Sequence[float]) -> str:
    """Median and slowest."""
    ordered = sorted(seconds)
    return f"median {ordered[len(ordered) // 2] * 1000:7.1f} ms, slowest {ordered[-1] * 1000:7.1f} ms"
