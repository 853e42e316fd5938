"""A raw HTTP/1.1 client: sends exactly the bytes it is given, one request a connection, and reads one answer."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from shared.contract.errors import UserError

Headers = Sequence[tuple[str, str]]


class NoAnswer(Exception):  # noqa: N818 - what happened, not an error of ours
    """The service closed the connection, timed out, or sent something that is not HTTP."""


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: of the final answer; interim ones (100 Continue) are read past.
        headers: in order, names in lower case.
        body: decoded of its transfer coding.
        closed: the service closed the connection after it; None where nobody looked.
    """

    status: int
    headers: Headers
    body: bytes
    closed: bool | None

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def first_headers(self) -> Mapping[str, str]:
        return dict(reversed(self.headers))


@dataclass(frozen=True)
class Target:
    """Where a service listens, and how to reach it.

    Attributes:
        host, port: of its socket.
        prefix: of its paths, without a slash at the end.
        context: for TLS.
        timeout: seconds to wait for a connection, and for each read.
        headers: added to every request that does not send its own of that name.
    """

    host: str
    port: int
    prefix: str = ""
    context: ssl.SSLContext | None = None
    timeout: float = 30.0
    headers: Headers = field(default=())

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def connect(self) -> socket.socket:
        """Raises OSError if nothing listens there, or TLS fails."""
        plain = socket.create_connection((self.host, self.port), timeout=self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context is None:
            return plain
        try:
            return self.context.wrap_socket(plain, server_hostname=self.host)
        except OSError:
            plain.close()
            raise


def parse_target(
    url: str, *, ca: str | None = None, insecure: bool = False, timeout: float = 30.0, headers: Headers = ()
) -> Target:
    """The target of a base URL.

    Raises:
        UserError: it is no http or https URL, or the CA file cannot be read.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UserError(f"{url}: {error}; give a URL such as http://127.0.0.1:8000") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UserError(f"{url} is not the URL of a service: give one such as http://127.0.0.1:8000")
    try:
        parts.hostname.encode("idna")
    except UnicodeError:
        raise UserError(f"{url}: {parts.hostname!r} is no name of a host") from None
    context = None
    if parts.scheme == "https":
        try:
            context = ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise UserError(f"{ca}: not a file of CA certificates in PEM: {error}") from None
        if insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
    elif ca or insecure:
        raise UserError(f"--ca and --insecure go with https, and {url} is not https")
    return Target(
        host=parts.hostname,
        port=port or (443 if context else 80),
        prefix=parts.path.rstrip("/"),
        context=context,
        timeout=timeout,
        headers=headers,
    )


def request_bytes(
    target: Target,
    method: str,
    path: str,
    headers: Sequence[tuple[str, str | None]],
    body: bytes | None,
    *,
    chunked: bool = False,
) -> bytes:
    """The request as it goes out: no header is added but host, the framing, and the target's own.

    A header that is None is left out, and not added either.
    """
    sent = {name.lower() for name, _ in headers}
    lines = [f"{method} {target.prefix if path.startswith('/') else ''}{path} HTTP/1.1"]
    own: list[tuple[str, str]] = [("host", target.authority), *target.headers]
    if body is not None and chunked:
        own.append(("transfer-encoding", "chunked"))
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    elif body is not None:
        own.append(("content-length", str(len(body))))
    lines += [f"{name}: {value}" for name, value in own if name not in sent]
    lines += [f"{name}: {value}" for name, value in headers if value is not None]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def exchange(target: Target, method: str, request: bytes, *, watch_close: bool = False) -> Answer:
    """Sends a request on a connection of its own and reads the answer.

    Raises:
        NoAnswer: there is none, or it is not HTTP.
    """
    try:
        with target.connect() as connection:
            # A service may answer, and close, before it has read everything.
            with contextlib.suppress(OSError):
                connection.sendall(request)
            return read_answer(connection, method, watch_close=watch_close)
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{type(error).__name__}: {error}") from error


def read_answer(connection: socket.socket, method: str, *, watch_close: bool = False) -> Answer:
    """Reads one answer to a `method` request; nothing of a following one may have been sent yet.

    Raises:
        OSError, http.client.HTTPException: there is none, or it is not HTTP.
    """
    response = http.client.HTTPResponse(connection, method=method)
    with response:
        response.begin()
        body = response.read()
        headers = [(name.lower(), value) for name, value in response.getheaders()]
    return Answer(response.status, headers, body, _is_closed(connection) if watch_close else None)


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True
