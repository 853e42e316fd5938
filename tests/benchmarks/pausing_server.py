"""A server that does nothing else for a while, once: `python pausing_server.py PAUSE_AT PAUSE_SECONDS REFUSE_EVERY`.

Prints its port. The pause comes with request PAUSE_AT (0: never); every REFUSE_EVERYth is answered 503 (0: none).
"""

from __future__ import annotations

import asyncio
import sys
import time

PAUSE_AT, PAUSE_SECONDS, REFUSE_EVERY = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}"

count = 0


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    global count
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(length)
            count += 1
            if count == PAUSE_AT:
                time.sleep(PAUSE_SECONDS)  # the whole loop, every connection with it
            writer.write(REFUSED if REFUSE_EVERY and count % REFUSE_EVERY == 0 else GOOD)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await server.serve_forever()


asyncio.run(main())
