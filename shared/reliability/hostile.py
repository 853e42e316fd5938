"""Hostile requests, made from the contract vectors by a seeded grammar: the same seed gives the same bytes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from shared.verification.client import Target, request_bytes
from shared.verification.templates import body, default_variables
from shared.verification.vectors import protocol_vectors

MAX_BYTES = 20_000
"""Of the request that a case is made from: larger ones are slow to send, and no more hostile."""

NUMBERS = (
    b"NaN Infinity -Infinity 1e39 -1e39 1e400 -0 0.0 1e-46 5e-324 01 +1 .5 1. 0x1 1_0 nan null true "
    b'"1" [] {} [[]] 3.4028235e38 9007199254740993 99999999999999999999999999 1e 1E+ -'
).split()
TOKENS = (
    *(b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b";", b",", b"\\", b'"', b"%", b"/", b"?", b"#", b"{", b"}"),
    *(b"[", b"]", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\r\n\r\n", b"HTTP/1.1", b"GET ", b"0\r\n"),
    *(b"\\u0000", b"\\ud800", b"transfer-encoding: chunked\r\n", b"content-length: 0\r\n", b"A" * 300),
)
METHODS = (
    *(b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"PRI", b"M-SEARCH"),
    *(b"PROPFIND", b"LOCK", b"QUERY", b"get", b"FOO", b"G\x00T", b"", b"POST\x0b", b"A" * 200),
)
VERSIONS = (b"HTTP/1.1",) * 6 + (
    b"HTTP/1.0",
    b"HTTP/0.9",
    b"HTTP/2.0",
    b"HTTP/1.",
    b"HTTP/1.10",
    b"http/1.1",
    b"ICY",
    b"",
)
ROUTES = (b"/score", b"/score/batch", b"/model", b"/livez", b"/healthz", b"/readyz", b"/openapi.json", b"/docs", b"/")
SUFFIXES = (
    *(b"", b"", b"/", b"//", b"?", b"?a=%ff&a", b"#x", b"%2f", b"%00", b"%zz", b"/../score", b"/..%2f..%2fetc/passwd"),
    *(b";a=b", b"\\", b"/%2e%2e/%2e%2e/etc/passwd", b".json", b"%c0%ae", b"?" + b"q" * 3000, b"/x" * 200),
)
HEADERS = (
    *(b"content-type: application/json", b"content-type: text/plain", b"content-type: application/vnd.bentoml+pickle"),
    *(
        b"content-type: multipart/form-data; boundary=x",
        b"content-type: application/json; charset=utf-16",
        b"content-type:",
    ),
    *(b"content-encoding: gzip", b"content-encoding: br, identity", b"expect: 100-continue", b"expect: 200-ok"),
    *(b"connection: close", b"connection: keep-alive, upgrade", b"connection: content-length", b"upgrade: websocket"),
    *(b"upgrade: h2c", b"sec-websocket-key: x", b"sec-websocket-version: 13", b"host:", b"host: a\r\nhost: b"),
    *(b"authorization: Bearer x", b"authorization: Basic Og==", b"authorization: Bearer " + b"k" * 5000),
    *(b"x-request-id: ok", b"x-request-id: a b", b"x-request-id: \xff", b"x-request-id: " + b"r" * 129),
    *(b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", b"traceparent: 00-0-0-0"),
    *(b"traceparent: ff-" + b"f" * 32 + b"-" + b"f" * 16 + b"-ff", b"tracestate: " + b"a=b," * 500, b"baggage: \x01"),
    *(b"batch-size: 99999999999999999999", b"args-number: -1", b"payload-container: NdarrayContainer"),
    *(b'payload-meta: {"format":"pickle5"}', b"bentoml-payload-kind: pickle", b"x-bentoml-task-id: 1"),
    *(b"x-forwarded-for: ::1, \x7f", b"x-http-method-override: PUT", b"range: bytes=0-,-1", b"te: trailers, deflate"),
    *(
        b"cookie: " + b"c=d; " * 800,
        b"accept: */*;q=nan",
        b"accept-encoding: gzip;q=0",
        b"if-none-match: *",
        b": empty",
    ),
    *(b"no colon", b" folded: x", b"a: b\r\n folded", b"na me: x", b"na\x00me: x", b"name : x", b"x: " + b"y" * 30_000),
)
LENGTHS = (
    *(b"0", b"1", b"-1", b"+2", b" 2 ", b"2,2", b"2, 3", b"0x2", b"2 2", b"", b"two", b"2.0", b"1e1", b"4294967296"),
    *(b"18446744073709551615", b"18446744073709551616", b"99999999999999999999999", b"1500000", b"00000000002"),
)
CODINGS = (
    *(b"chunked", b"Chunked", b"gzip, chunked", b"chunked, gzip", b"identity", b"chunked, chunked", b"x", b" chunked"),
    *(b"chunked\r\ntransfer-encoding: identity", b"", b"\x0bchunked", b"chunked;q=1"),
)
SIZES = (
    b"0",
    b"1",
    b"ffffffff",
    b"ffffffffffffffff",
    b"fffffffffffffffff",
    b"-1",
    b"+1",
    b"0x1",
    b" 1",
    b"1 ",
    b"",
    b"g",
)
STRANGERS = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"EHLO example.org\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"\x00" * 1000,
    b"\r\n" * 1000,
    b"GET " * 1000,
    b"\x80\x04N.",
)


@dataclass(frozen=True)
class Case:
    """What is sent on a connection of its own.

    Attributes:
        kind: how it was made.
        content: the bytes.
        whole: it is a whole request, which gets an answer; else it may leave the service waiting for more.
    """

    kind: str
    content: bytes
    whole: bool = False


class Grammar:
    """Makes cases for a model of `features` inputs."""

    def __init__(self, seed: int, features: int) -> None:
        self._random = random.Random(seed)
        self._requests = _vector_requests(features)
        self._bodies = [content.partition(b"\r\n\r\n")[2] for content in self._requests]
        self._bodies = [content for content in self._bodies if content] + [_row(features)]
        self._kinds: list[tuple[Callable[[], Case], int]] = [
            (self._vector, 10),
            (self._path, 15),
            (self._line, 10),
            (self._head, 20),
            (self._length, 8),
            (self._chunks, 10),
            (self._body, 20),
            (self._noise, 3),
            (self._pipeline, 6),
            (self._damaged, 15),
            (self._truncated, 3),
        ]

    def cases(self, count: int) -> Iterator[Case]:
        makers, weights = zip(*self._kinds, strict=True)
        for maker in self._random.choices(makers, weights, k=count):
            yield maker()

    def _pick(self, among: Sequence[bytes]) -> bytes:
        return self._random.choice(among)

    def _vector(self) -> Case:
        return Case("vector", self._pick(self._requests))

    def _path(self) -> Case:
        name = self._random.randbytes(self._random.randint(1, 30)).hex().encode()
        return Case(
            "path",
            self._pick((b"GET", b"POST", b"HEAD", b"PUT")) + b" /" + name + b" HTTP/1.1\r\nhost: x\r\n\r\n",
            True,
        )

    def _line(self) -> Case:
        target = self._pick(ROUTES) + self._pick(SUFFIXES)
        target = self._pick((b"", b"", b"", b"http://x", b"//x", b"x", b"*")) + target
        line = self._pick((b" ", b" ", b" ", b"  ", b"\t")).join((self._pick(METHODS), target, self._pick(VERSIONS)))
        return Case("line", line + b"\r\nhost: x\r\ncontent-length: 0\r\n\r\n")

    def _head(self) -> Case:
        headers = self._random.choices(HEADERS, k=self._random.choice((1, 2, 4, 8, 100)))
        if sum(map(len, headers)) > 64_000:
            headers = headers[:2]
        content = self._pick(self._bodies)
        headers.append(b"content-length: %d" % len(content))
        self._random.shuffle(headers)
        line = self._pick((b"POST /score", b"POST /score/batch", b"GET /livez", b"GET /metrics", b"OPTIONS /score"))
        return Case("head", line + b" HTTP/1.1\r\nhost: x\r\n" + b"\r\n".join(headers) + b"\r\n\r\n" + content)

    def _length(self) -> Case:
        lengths = b"".join(
            b"content-length: " + self._pick(LENGTHS) + b"\r\n" for _ in range(self._random.randint(1, 2))
        )
        head = b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" + lengths
        if self._random.random() < 0.3:
            head += b"transfer-encoding: " + self._pick(CODINGS) + b"\r\n"
        return Case("length", head + b"\r\n" + self._pick(self._bodies)[:2000])

    def _chunks(self) -> Case:
        coding = self._pick(CODINGS) if self._random.random() < 0.3 else b"chunked"
        head = b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: " + coding
        content, sent = self._pick(self._bodies)[:4000], b""
        while content:
            size = self._random.randint(1, len(content))
            piece, content = content[:size], content[size:]
            told = self._pick(SIZES) if self._random.random() < 0.1 else b"%x" % size
            extension = self._pick((b"", b"", b"", b";a", b';a="\r\n"', b";" + b"e" * 2000, b" "))
            sent += (
                told + extension + self._pick((b"\r\n",) * 9 + (b"\n",)) + piece + self._pick((b"\r\n",) * 9 + (b"",))
            )
            if len(sent) > 3 * MAX_BYTES:
                break
        end = self._pick(
            (b"0\r\n\r\n",) * 4
            + (b"0\r\nx: y\r\n\r\n", b"0\r\n", b"", b"0\r\ncontent-length: 5\r\n\r\n", b"-0\r\n\r\n")
        )
        return Case("chunks", head + b"\r\n\r\n" + sent + end)

    def _body(self) -> Case:
        content = bytearray(self._pick(self._bodies))
        for _ in range(self._random.randint(1, 4)):
            start = self._random.randint(0, len(content))
            stop = min(len(content), start + self._random.choice((0, 0, 1, 1, 4, 40)))
            choice = self._random.random()
            if choice < 0.4:
                content[start:stop] = self._pick(NUMBERS)
            elif choice < 0.8:
                content[start:stop] = self._pick(TOKENS)
            elif choice < 0.9:
                content[start:stop] = self._pick((b"[", b'{"a":', b'"')) * self._random.choice((1, 50, 2000))
            else:
                content[start:stop] = self._random.randbytes(8)
        path = self._pick((b"/score", b"/score/batch"))
        head = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        return Case("body", head % (path, len(content)) + content, True)

    def _noise(self) -> Case:
        if self._random.random() < 0.5:
            return Case("noise", self._pick(STRANGERS))
        return Case("noise", self._random.randbytes(self._random.choice((1, 10, 1000))))

    def _pipeline(self) -> Case:
        made = [
            self._random.choice((self._vector, self._path, self._body, self._head, self._chunks))()
            for _ in range(self._random.randint(2, 5))
        ]
        return Case("pipeline", b"".join(case.content for case in made))

    def _damaged(self) -> Case:
        content = bytearray(self._pick(self._requests))
        head = content.find(b"\r\n\r\n") + 4
        for _ in range(self._random.randint(1, 5)):
            start = self._random.randint(0, max(0, min(len(content), head) - 1))
            stop = min(len(content), start + self._random.choice((0, 1, 2, 8)))
            content[start:stop] = self._pick(TOKENS) if self._random.random() < 0.7 else self._random.randbytes(2)
        return Case("damaged", bytes(content))

    def _truncated(self) -> Case:
        content = self._pick(self._requests)
        return Case("truncated", content[: self._random.randint(0, len(content))])


def _row(features: int) -> bytes:
    return b'{"features":[' + b",".join([b"0.5"] * features) + b"]}"


def _vector_requests(features: int) -> list[bytes]:
    """The requests of the contract vectors, as bytes."""
    variables = default_variables(features)
    target = Target("service", 80)
    made = []
    for vector in protocol_vectors().vectors:
        if vector.min_features > features or vector.requires:
            continue
        request = vector.request
        content = body(request["body"], variables) if "body" in request else None
        if content is None or len(content) <= MAX_BYTES:
            headers = [(name, value) for name, value in request.get("headers", [])]
            made.append(
                request_bytes(
                    target, request["method"], request["path"], headers, content, chunked=request.get("chunked", False)
                )
            )
    return made
