"""Requests that were answered wrongly once, or that servers like these have got wrong: what they hold, and what comes back."""

from __future__ import annotations

from typing import NamedTuple


class Found(NamedTuple):
    """A case.

    Attributes:
        content: the bytes that are sent.
        statuses: of the answers, in order.
    """

    content: bytes
    statuses: list[int]


def post(body: bytes, *headers: bytes) -> bytes:
    """A `POST /score` with a length and these further headers."""
    lines = [b"POST /score HTTP/1.1", b"host: x", b"content-type: application/json", *headers]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body])


def get(path: bytes, *headers: bytes, method: bytes = b"GET", host: bytes = b"host: x") -> bytes:
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", host, *headers, b"", b""])


CORPUS: dict[str, Found] = {
    "a host that is neither UTF-8 nor escaped right": Found(
        get(b"/model", method=b"HEAD", host=b"host: ser\\ud\xff00ce:80"), [200]
    ),
    "the same with a body": Found(post(b"[]", b"host: se\\u0\xd2\xc9000rvice:80"), [422]),
    "a range that is none": Found(get(b"/docs/swagger-ui.css", b"range: bytes=a-b"), [200]),
    "a range with more digits than an integer is read with": Found(
        get(b"/docs/swagger-ui.css", b"range: bytes=0-" + b"9" * 5000), [200]
    ),
    "a thousand ranges": Found(get(b"/docs/swagger-ui.css", b"range: bytes=" + b",".join([b"0-1"] * 1000)), [200]),
    "no host": Found(b"GET /livez HTTP/1.1\r\n\r\n", [200]),
    "HTTP/0.9": Found(b"GET /livez\r\n\r\n", [200]),
    "HTTP/1.0": Found(b"GET /livez HTTP/1.0\r\n\r\n", [200]),
    "an absolute URL": Found(get(b"http://x/livez"), [200]),
    "OPTIONS *": Found(get(b"*", method=b"OPTIONS"), [404]),
    "CONNECT": Found(get(b"x:80", method=b"CONNECT"), [400]),
    "TRACE": Found(get(b"/score", method=b"TRACE"), [405]),
    "the path of a file outside": Found(get(b"/docs/../../manifest.json"), [404]),
    "the same, escaped": Found(get(b"/docs/..%2f..%2fmanifest.json"), [404]),
    "a null byte in the path": Found(get(b"/docs/%00"), [404]),
    "a path of 20 kB": Found(get(b"/" + b"a" * 20_000), [404]),
    "a length and chunks": Found(post(b"0\r\n\r\n", b"transfer-encoding: chunked"), [400]),
    "two lengths": Found(post(b"{}", b"content-length: 5"), [400]),
    "a negative length": Found(
        b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: -1\r\n\r\n", [400]
    ),
    "a length beyond 64 bits": Found(
        b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: "
        + b"9" * 30
        + b"\r\n\r\n",
        [400],
    ),
    "a chunk beyond 64 bits": Found(
        b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"f" * 20
        + b"\r\n",
        [400],
    ),
    "a folded header": Found(get(b"/livez", b"x-a: 1", b" 2"), [400]),
    "a null byte in a header": Found(get(b"/livez", b"x-a: \0"), [400]),
    "a request id that is none": Found(get(b"/livez", b"x-request-id: " + b"\xff" * 200), [200]),
    "a traceparent that is none": Found(get(b"/model", b"traceparent: 00-\xff-1-01"), [200]),
    "no JSON": Found(post(b"\xff\xfe"), [400]),
    "JSON 50,000 brackets deep": Found(post(b"[" * 50_000), [400]),
    "numbers beyond a double": Found(post(b'{"features": [1e999]}'), [422]),
    "a number with 5,000 digits": Found(post(b'{"features": [' + b"9" * 5000 + b"]}"), [422]),
    "a lone surrogate": Found(post(b'{"\\ud800": 1}'), [400]),
    "NaN": Found(post(b'{"features": [NaN]}'), [422]),
    "two requests at once": Found(get(b"/livez") + get(b"/nothing"), [200, 404]),
}
