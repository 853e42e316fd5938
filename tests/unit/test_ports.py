"""A free port is kept: nobody gets it by chance, and what is started there can listen."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from shared.reliability.ports import free_port


@pytest.mark.skipif(sys.platform != "linux", reason="ports are kept on Linux")
def test_nobody_else_gets_it() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    assert len({free_port() for _ in range(100)} | {port}) == 101


def test_nothing_answers_until_a_server_listens() -> None:
    async def scenario() -> None:
        port = free_port()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(scenario())
