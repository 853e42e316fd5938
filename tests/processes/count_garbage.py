"""Serves one variant in this process, and prints what the garbage collector finds after `REQUESTS` requests: `count_garbage.py
fastapi|bento`, with the model in TWINSCORE_MODEL.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections import Counter

import uvicorn

from shared.model.locate import latest_package
from shared.model.manifest import read_manifest
from shared.serving.settings import load_settings

REQUESTS = 100


def application(variant: str) -> object:
    if variant == "fastapi":
        from fastapi_service.app import create_app

        return create_app()
    from bento_service.service import FraudDetector

    return FraudDetector.to_asgi()


async def main(variant: str) -> None:
    row = read_manifest(load_settings().model or latest_package()).golden.rows[0]
    body = json.dumps({"features": row}).encode()
    head = f"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    server = uvicorn.Server(uvicorn.Config(application(variant), port=0, log_config=None, access_log=False))  # type: ignore[arg-type]
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + body)
        answered = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert answered.startswith(b"http/1.1 200 "), answered
        await reader.readexactly(int(answered.partition(b"content-length: ")[2].partition(b"\r\n")[0]))

    for number in range(REQUESTS + REQUESTS):
        if number == REQUESTS:
            gc.collect()
            gc.disable()
        await asyncio.gather(*(ask(*connection) for connection in connections[: 1 + number % 4]))
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    found = Counter(f"{type(item).__module__}.{type(item).__qualname__}" for item in gc.garbage)
    sys.stdout.write(json.dumps(found) + "\n")
    for _, writer in connections:
        writer.close()
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
