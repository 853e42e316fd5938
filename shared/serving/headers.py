"""What the edge needs from request headers, read in one pass."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable

LENGTH_DIGITS = 20
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class RequestHeaders:
    """The few headers the contract speaks of; the first of a repeated header counts, of encodings each."""

    __slots__ = ("authorization", "content_length", "json", "ranged", "request_id", "traceparent", "tracestate")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        content_type = request_id = content_length = authorization = None
        traceparent = tracestate = None
        self.ranged = encoded = False
        for name, value in headers:
            if name == b"content-type":
                content_type = content_type or value
            elif name == b"content-length":
                content_length = content_length or value
            elif name == b"x-request-id":
                request_id = request_id or value
            elif name == b"authorization":
                authorization = authorization or value
            elif name == b"content-encoding":
                encoded = encoded or value.strip().lower() != b"identity"
            elif name == b"transfer-encoding":
                encoded = encoded or value.strip().lower() != b"chunked"
            elif name == b"traceparent":
                traceparent = traceparent or value
            elif name == b"tracestate":
                tracestate = tracestate or value
            elif name == b"range":
                self.ranged = True
        self.traceparent = traceparent
        self.tracestate = tracestate
        self.authorization = authorization
        self.request_id = None
        if request_id is not None and REQUEST_ID.fullmatch(request_id):
            self.request_id = request_id.decode()
        self.content_length = _length(content_length)
        self.json = (
            content_type is not None
            and (content_type == b"application/json" or _media_type(content_type) == b"application/json")
            and not encoded
        )


def without_range(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Headers that ask for the whole: a server may leave `Range` aside, and no answer of the contract is worth a part."""
    return [(name, value) for name, value in headers if name not in (b"range", b"if-range")]


def _length(value: bytes | None) -> int | None:
    # Python reads no number of thousands of digits, and zeros before one mean nothing.
    return int(value.lstrip(b"0")[:LENGTH_DIGITS] or b"0") if value is not None and value.isdigit() else None


def _media_type(content_type: bytes) -> bytes:
    return content_type.partition(b";")[0].strip().lower()


def new_request_id() -> str:
    """128 random bits in hexadecimal: unique, and no secret, so that no system call is spent on it."""
    return f"{random.getrandbits(128):032x}"
