"""A service that comes, goes and lies: `python -m tests.compare.relay PORT SERVICE_PORT [lie]` passes bytes both ways.

With `lie`, probabilities below 0.1 are answered 0.1 higher.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen

from tests.conftest import ROOT


@contextmanager
def relay(port: int, service_url: str, *options: str) -> Iterator[None]:
    """Runs one. Whoever connects may have to try again until it listens."""
    command = [sys.executable, "-m", "tests.compare.relay", str(port), service_url.rpartition(":")[2], *options]
    process = Popen(command, cwd=ROOT)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


async def main(port: int, service_port: int, lie: bool) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", service_port)
        await asyncio.gather(pass_on(reader, requests, lie=False), pass_on(answers, writer, lie))

    server = await asyncio.start_server(handle, "127.0.0.1", port)
    await server.serve_forever()


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lie: bool) -> None:
    while content := await reader.read(65536):
        writer.write(content.replace(b'"probability":0.0', b'"probability":0.1') if lie else content)
        await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), "lie" in sys.argv[3:]))
