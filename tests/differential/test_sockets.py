"""Raw sockets, chunked, dribbled, truncated, pipelined, or no HTTP at all: both variants do the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.verification.templates import body, default_variables
from tests.differential.conftest import MAX_BODY_BYTES, Both
from tests.differential.outcome import bounded
from tests.raw import request

CLOSE = "connection: close"
HEAD = b"POST /score HTTP/1.1\r\nhost: x\r\nx-request-id: d\r\ncontent-type: application/json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n"
LAST = request("GET", "/livez", None, CLOSE)


def good(both: Both) -> bytes:
    return body([{"json": {"features": {"$row": {}}}}], default_variables(both.features))


@st.composite
def chunks(draw: st.DrawFn, content: bytes) -> bytes:
    """A body in chunks of any sizes, with extensions, and trailers now and then."""
    sent = b""
    smallest = 1 + len(content) // 40
    while content:
        size = draw(st.integers(min(smallest, len(content)), len(content)))
        extension = draw(st.sampled_from([b"", b"", b"", b";a=b", b";a"]))
        width = draw(st.sampled_from([1, 1, 4, 8]))
        sent += b"%0*x%b\r\n%b\r\n" % (width, size, extension, content[:size])
        content = content[size:]
    return sent + b"0\r\n" + draw(st.sampled_from([b"", b"", b"x-trailer: 1\r\n"])) + b"\r\n"


@st.composite
def pieces(draw: st.DrawFn, content: bytes) -> list[bytes]:
    """The content cut at up to six places."""
    cuts = sorted(draw(st.lists(st.integers(0, len(content)), max_size=6)))
    return [content[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True)]


@bounded(60)
@given(data=st.data())
def test_chunked_and_dribbled(both: Both, data: st.DataObject) -> None:
    content = data.draw(st.sampled_from([good(both), b"{}", b"", b"{", b" " * (MAX_BODY_BYTES + 1)]))
    sent = CHUNKED + b"connection: close\r\n\r\n" + data.draw(chunks(content))
    both.agree(*data.draw(pieces(sent)))


@bounded(80)
@given(data=st.data())
def test_pipelined(both: Both, data: st.DataObject) -> None:
    kinds = {
        "score": ("POST", request("POST", "/score", good(both))),
        "bad": ("POST", request("POST", "/score", b"{}")),
        "broken": ("POST", request("POST", "/score", b"{")),
        "refused": ("PUT", request("PUT", "/score", b"x" * 50)),
        "unknown": ("POST", request("POST", "/nowhere", b"x" * 50)),
        "encoded": ("POST", request("POST", "/score", b"x" * 50, "content-encoding: gzip")),
        "chunked": ("POST", CHUNKED + b"\r\n2\r\n{}\r\n0\r\n\r\n"),
        "probe": ("GET", request("GET", "/readyz")),
        "head": ("HEAD", request("HEAD", "/model")),
        "big": ("POST", request("POST", "/score", b" " * (MAX_BODY_BYTES + 1))),
        "garbage": ("GET", b"\x00\x01\r\n\r\n"),
    }
    names = data.draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=6))
    methods = tuple(kinds[name][0] for name in names)
    content = b"".join(kinds[name][1] for name in names) + LAST
    both.agree(*data.draw(pieces(content)), methods=methods)


@bounded(60)
@given(data=st.data())
def test_damaged_heads(both: Both, data: st.DataObject) -> None:
    """Some bytes of a request's head are changed; both parsers must see the same in it."""
    whole = request("POST", "/score", good(both), "x-request-id: d", CLOSE)
    head, _, rest = whole.partition(b"\r\n\r\n")
    damaged = bytearray(head)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(damaged)))
        stop = data.draw(st.integers(start, min(len(damaged), start + 6)))
        damaged[start:stop] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"\r", b"\n", b"\r\n", b" ", b":", b"\t", b"\x00", b"HTTP/1.0"])
        )
    both.agree(bytes(damaged) + b"\r\n\r\n" + rest)


REFUSED_BY_THE_PARSER = {
    "no version": b"GET\r\n\r\n",
    "version 1.2": b"GET /livez HTTP/1.2\r\nhost: x\r\n\r\n",
    "version 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "unknown method": b"FOO /livez HTTP/1.1\r\nhost: x\r\n\r\n",
    "relative target": b"GET livez HTTP/1.1\r\nhost: x\r\n\r\n",
    "raw byte in target": b"GET /\xe9 HTTP/1.1\r\nhost: x\r\n\r\n",
    "header without colon": b"GET /livez HTTP/1.1\r\nhost x\r\n\r\n",
    "space before colon": b"GET /livez HTTP/1.1\r\nhost : x\r\n\r\n",
    "folded header": b"GET /livez HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n",
    "nul in header": b"GET /livez HTTP/1.1\r\nhost: x\r\na: b\x00c\r\n\r\n",
    "bare line feeds": b"GET /livez HTTP/1.1\nhost: x\n\n",
    "both framings": CHUNKED + b"content-length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
    "negative length": HEAD + b"content-length: -1\r\n\r\n",
    "length of letters": HEAD + b"content-length: two\r\n\r\n{}",
    "length over 64 bits": HEAD + b"content-length: 99999999999999999999999\r\n\r\n",
    "bad chunk size": CHUNKED + b"\r\nzz\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("case", REFUSED_BY_THE_PARSER)
def test_what_the_parser_refuses(both: Both, case: str) -> None:
    got = both.agree(REFUSED_BY_THE_PARSER[case])
    assert got.statuses == [400]
    assert got.end == "closed"


ODD = {
    "version 1.0": (b"GET /livez HTTP/1.0\r\n\r\n", [200]),
    "version 1.0, never kept": (b"GET /livez HTTP/1.0\r\nconnection: keep-alive\r\n\r\n" + LAST, [200]),
    "no version": (b"GET /livez\r\n\r\n", [200]),
    "no host": (b"GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n", [200]),
    "leading empty lines": (b"\r\n\r\n" + LAST, [200]),
    "absolute target": (b"GET http://elsewhere/livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", [200]),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", [404]),
    "same length twice": (HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}", [400]),
    "h2c upgrade": (
        b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings, close\r\nupgrade: h2c\r\n"
        b"http2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        [200],
    ),
    "websocket": (
        b"GET /score HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        [403],
    ),
    "websocket by POST": (
        HEAD + b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\ncontent-length: 2\r\n\r\n{}",
        [400],
    ),
    "header of 60 KB": (b"GET /livez HTTP/1.1\r\na: " + b"b" * 60_000 + b"\r\nconnection: close\r\n\r\n", [200]),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_but_answered(both: Both, case: str) -> None:
    content, statuses = ODD[case]
    assert both.agree(content, methods=("GET",)).statuses == statuses


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("chunked", [False, True])
def test_truncated(both: Both, share: float, chunked: bool) -> None:
    """What never arrives whole is not answered."""
    content = good(both)
    whole = request("POST", "/score", content)
    if chunked:
        whole = CHUNKED + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    assert both.agree(whole[: int(len(whole) * share)]).statuses == []
