"""A small OTLP/HTTP endpoint, `POST /v1/traces`, for the spans of the two services."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared.compare.guard import TooLarge, read_body
from shared.compare.spans import Decode, Span

PATH = "/v1/traces"
PROTOBUF = "application/x-protobuf"
MAX_BYTES = 8 * 1024 * 1024


def receiver_app(decode: Decode, add: Callable[[Iterable[Span]], None]) -> Starlette:
    """The endpoint. It takes no JSON and nothing that a page of another site may send."""

    async def traces(request: Request) -> Response:
        if request.headers.get("content-type") != PROTOBUF:
            return _refusal(415, f"send {PROTOBUF}: OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
        try:
            body = await read_body(request, MAX_BYTES)
            match request.headers.get("content-encoding", "identity"):
                case "gzip" | "deflate":
                    body = _inflate(body)
                case "identity":
                    pass
                case _:
                    return _refusal(415, "send gzip, deflate or no content-encoding")
            add(decode(body))
        except TooLarge:
            return _refusal(413, f"an export has {MAX_BYTES} bytes at most")
        except (ValueError, zlib.error):
            return _refusal(400, "not an ExportTraceServiceRequest")
        return Response(b"", media_type=PROTOBUF)

    return Starlette(routes=[Route(PATH, traces, methods=["POST"])])


def _inflate(body: bytes) -> bytes:
    """Raises TooLarge for what would grow beyond the limit."""
    inflater = zlib.decompressobj(wbits=47)  # gzip or zlib, by its header
    plain = inflater.decompress(body, MAX_BYTES)
    if inflater.unconsumed_tail:
        raise TooLarge
    return plain


def _refusal(status: int, reason: str) -> Response:
    return Response(reason + "\n", status, media_type="text/plain")
