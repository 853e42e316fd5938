"""A connection that sends exactly the bytes it is told to, and reads one answer after another."""

from __future__ import annotations

import http.client
import io
import socket
from types import TracebackType
from typing import Any

from shared.verification.client import Answer, parse_target


class _Kept(io.BufferedReader):
    """`http.client` closes its file after each answer; the next answer may be in its buffer already."""

    def close(self) -> None:
        pass


class _Reading:
    """As much of a socket as `http.client.HTTPResponse` uses."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = _Kept(socket.SocketIO(connection, "r"))

    def makefile(self, *arguments: Any, **options: Any) -> _Kept:
        return self._file


class Connection:
    """One TCP connection to a service.

    Args:
        url: the base of the service.
        timeout: seconds that a read waits.
    """

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        self.socket = parse_target(url, timeout=timeout).connect()
        self._reading: Any = _Reading(self.socket)

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def read(self, method: str = "GET") -> Answer:
        """The next answer. Raises OSError or http.client.HTTPException where there is none."""
        response = http.client.HTTPResponse(self._reading, method=method)
        response.begin()
        body = response.read()
        return Answer(response.status, [(name.lower(), value) for name, value in response.getheaders()], body, None)

    def is_closed(self) -> bool:
        """The service closes the connection within the timeout, and sends nothing more before."""
        try:
            return self._reading.makefile().read(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()


def request(method: str, path: str, body: bytes | None = None, *headers: str) -> bytes:
    """A plain request; JSON where it has a body."""
    lines = [f"{method} {path} HTTP/1.1", "host: service", *headers]
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
