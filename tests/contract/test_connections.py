"""What one connection carries, one request after another: more than a vector can say."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time

import httpx
import pytest

from shared.verification.templates import body, default_variables
from tests.conftest import Server
from tests.raw import Connection, request


@pytest.fixture(scope="session")
def features(client: httpx.Client) -> int:
    return len(client.get("/model").json()["features"])


@pytest.fixture(scope="session")
def row(features: int) -> bytes:
    """The body of a good request."""
    return body([{"json": {"features": {"$row": {}}}}], default_variables(features))


REFUSALS = {
    "400": (request("POST", "/score", b"{"), "POST", 400),
    "404": (request("GET", "/nowhere"), "GET", 404),
    "404 with a body": (request("POST", "/nowhere", b"x" * 1000), "POST", 404),
    "405": (request("DELETE", "/score"), "DELETE", 405),
    "405 with a body": (request("PUT", "/score", b"x" * 1000), "PUT", 405),
    "405 to HEAD": (request("HEAD", "/score"), "HEAD", 405),
    "415": (request("POST", "/score", b"x" * 1000, "content-encoding: gzip"), "POST", 415),
    "422": (request("POST", "/score", b"{}"), "POST", 422),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_leaves_the_connection_usable(server: Server, row: bytes, case: str) -> None:
    refused, method, status = REFUSALS[case]
    with Connection(server.url) as connection:
        for _ in range(3):
            connection.send(refused)
            assert connection.read(method).status == status
            connection.send(request("POST", "/score", row))
            assert connection.read("POST").status == 200


def test_a_connection_carries_many_requests(server: Server, row: bytes) -> None:
    with Connection(server.url) as connection:
        answers = []
        for _ in range(50):
            connection.send(request("POST", "/score", row))
            answers.append(connection.read("POST"))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert len({answer.header("x-request-id")[0] for answer in answers}) == 50


def test_head_sends_no_body_that_the_next_answer_would_start_with(server: Server) -> None:
    with Connection(server.url) as connection:
        for path in ("/model", "/livez", "/nowhere"):
            connection.send(request("HEAD", path))
            head = connection.read("HEAD")
            assert head.body == b""
            connection.send(request("GET", path))
            got = connection.read("GET")
            assert got.status == head.status
            assert got.header("content-type") == head.header("content-type")
            assert got.body != b""


def test_pipelined_requests_are_answered_in_their_order(server: Server, row: bytes) -> None:
    sent = [
        ("POST", request("POST", "/score", row, "x-request-id: p0"), 200),
        ("GET", request("GET", "/livez", None, "x-request-id: p1"), 200),
        ("POST", request("POST", "/score", b"{", "x-request-id: p2"), 400),
        ("GET", request("GET", "/nowhere", None, "x-request-id: p3"), 404),
        ("POST", request("POST", "/score", row, "x-request-id: p4"), 200),
        ("HEAD", request("HEAD", "/model", None, "x-request-id: p5"), 200),
        ("GET", request("GET", "/readyz", None, "x-request-id: p6"), 200),
    ]
    with Connection(server.url) as connection:
        connection.send(b"".join(content for _, content, _ in sent))
        answers = [connection.read(method) for method, _, _ in sent]
    assert [answer.status for answer in answers] == [status for _, _, status in sent]
    assert [answer.header("x-request-id") for answer in answers] == [[f"p{i}"] for i in range(len(sent))]


def test_a_dribbled_request_is_read(server: Server, row: bytes) -> None:
    content = request("POST", "/score", row)
    with Connection(server.url) as connection:
        for start in range(0, len(content), 17):
            connection.send(content[start : start + 17])
            time.sleep(0.001)
        assert connection.read("POST").status == 200


def test_a_body_in_many_chunks_is_read(server: Server, row: bytes) -> None:
    head = "POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    with Connection(server.url) as connection:
        connection.send(head.encode())
        for byte in row:
            connection.send(b"1;extension=x\r\n%c\r\n" % byte)
        connection.send(b"0\r\ntrailer: x\r\n\r\n")
        assert connection.read("POST").status == 200
        connection.send(request("GET", "/livez"))
        assert connection.read().status == 200


def test_an_oversized_body_is_refused_while_it_is_still_being_sent(server: Server, features: int) -> None:
    limit = default_variables(features)["max_body_bytes"]
    head = "POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    with Connection(server.url) as connection:
        connection.send(head.encode() + b"%x\r\n" % (limit + 1) + b" " * (limit + 1) + b"\r\n")
        answer = connection.read("POST")
        assert answer.status == 413
        assert answer.header("connection") == ["close"]
        connection.send(b"0\r\n\r\n")
        assert connection.is_closed()


def test_an_announced_oversized_body_is_refused_before_it_is_sent(server: Server, features: int) -> None:
    limit = default_variables(features)["max_body_bytes"]
    head = f"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {limit + 1}\r\n\r\n"
    with Connection(server.url) as connection:
        connection.send(head.encode())
        assert connection.read("POST").status == 413
        connection.send(b" " * (limit + 1))
        assert connection.is_closed()


def test_a_client_that_waits_for_100_continue_gets_it(server: Server, row: bytes) -> None:
    content = request("POST", "/score", row, "expect: 100-continue")
    head, _, sent = content.partition(b"\r\n\r\n")
    with Connection(server.url) as connection:
        connection.send(head + b"\r\n\r\n")
        assert connection.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(sent)
        assert connection.read("POST").status == 200


@pytest.mark.parametrize("sent", [20, 200, -1])
def test_a_client_that_gives_up_harms_nobody(server: Server, client: httpx.Client, row: bytes, sent: int) -> None:
    with Connection(server.url) as connection:
        connection.send(request("POST", "/score", row)[:sent])
    answer = client.post("/score", content=row, headers={"content-type": "application/json"})
    assert answer.status_code == 200


def test_a_websocket_is_refused(server: Server) -> None:
    handshake = (
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    with Connection(server.url) as connection:
        connection.send(request("GET", "/score", None, *handshake))
        assert connection.read().status == 403


OFFER = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAoAAAAAIAAAAA")


@pytest.mark.parametrize("pieces", [1, 2, 40])
def test_an_offer_of_another_protocol_is_left_aside(server: Server, row: bytes, pieces: int) -> None:
    """Java's client makes it with its first request."""
    content = request("POST", "/score", row, *OFFER)
    size = -(-len(content) // pieces)
    with Connection(server.url) as connection:
        for _ in range(2):
            for start in range(0, len(content), size):
                connection.send(content[start : start + size])
                time.sleep(0.001)
            assert connection.read("POST").status == 200
        connection.send(content * 50)
        assert {connection.read("POST").status for _ in range(50)} == {200}
        connection.send(request("GET", "/livez", None, *OFFER))
        assert connection.read().status == 200


def test_the_body_behind_such_an_offer_is_no_request(server: Server) -> None:
    inner = request("GET", "/readyz", None, "x-request-id: inner")
    content = request("POST", "/score", inner, "x-request-id: outer", "connection: upgrade", "upgrade: x")
    with Connection(server.url) as connection:
        connection.send(content[: -len(inner)])
        time.sleep(0.05)
        connection.send(inner)
        answer = connection.read("POST")
        assert (answer.status, answer.header("x-request-id")) == (400, ["outer"])
        connection.send(request("GET", "/livez", None, "x-request-id: next"))
        assert connection.read().header("x-request-id") == ["next"]


def test_many_pipelined_requests_are_no_head_that_is_too_long(server: Server) -> None:
    one = request("GET", "/livez")
    with Connection(server.url) as connection:
        for size in (3, 2000, 3000):
            sending = threading.Thread(target=connection.send, args=(one * size + one[:20],))
            sending.start()
            assert {connection.read().status for _ in range(size)} == {200}
            sending.join()
            connection.send(one[20:])
            assert connection.read().status == 200


def ended(connection: Connection) -> bool:
    """Answered 400 and closed, or reset: what is still being sent then can take the answer away."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        assert connection.read("POST").status == 400
    return connection.is_closed()


@pytest.mark.parametrize(
    "endless",
    [b"GET /livez HTTP/1.1\r\n" + b"a: b\r\n" * 1_000_000, b"GET /" + b"a" * 6_000_000],
    ids=["fields", "target"],
)
def test_a_head_without_an_end_is_refused(server: Server, endless: bytes) -> None:
    with Connection(server.url) as connection:
        with contextlib.suppress(OSError):
            connection.send(endless)
        assert ended(connection)


CHUNKED = b"POST /score HTTP/1.1\r\nhost: x\r\n%btransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n"


def test_trailers_are_no_headers(server: Server, row: bytes) -> None:
    with Connection(server.url) as connection:
        connection.send(CHUNKED % (b"", len(row), row) + b"content-type: application/json\r\n\r\n")
        assert connection.read("POST").status == 415
    with Connection(server.url) as connection:
        connection.send(CHUNKED % (b"content-type: application/json\r\n", len(row), row))
        connection.send(b"content-encoding: gzip\r\nx-request-id: trailer\r\n\r\n")
        answer = connection.read("POST")
        assert answer.status == 200
        assert answer.header("x-request-id") != ["trailer"]


def test_trailers_without_an_end_are_refused(server: Server, row: bytes) -> None:
    with Connection(server.url) as connection:
        connection.send(CHUNKED % (b"content-type: application/json\r\n", len(row), row))
        with contextlib.suppress(OSError):
            connection.send(b"a: b\r\n" * 1_000_000)
        assert ended(connection)


def test_zeros_before_a_length_mean_nothing(server: Server, row: bytes) -> None:
    zeros = b"0" * 5000
    head, _, _ = request("POST", "/score", row).partition(b"content-length")
    with Connection(server.url) as connection:
        connection.send(head + b"content-length: %b%d\r\n\r\n" % (zeros, len(row)) + row)
        assert connection.read("POST").status == 200
        connection.send(b"GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: %b\r\n\r\n" % zeros)
        assert connection.read().status == 200


def test_every_encoding_counts(server: Server, row: bytes) -> None:
    with Connection(server.url) as connection:
        connection.send(request("POST", "/score", row, "content-encoding: identity", "content-encoding: gzip"))
        assert connection.read("POST").status == 415
        connection.send(request("POST", "/score", row, "content-encoding: identity"))
        assert connection.read("POST").status == 200
        head, _, _ = request("POST", "/score", row).partition(b"content-length")
        connection.send(head + b"transfer-encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
        assert connection.read("POST").status == 415


def test_what_is_not_http_is_refused_and_closed(server: Server) -> None:
    with Connection(server.url) as connection:
        connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        assert connection.read().status == 400
        assert connection.is_closed()


def test_every_422_is_json_whatever_was_sent(client: httpx.Client, features: int) -> None:
    for literal in ("NaN", "-Infinity", "1e400", '"\\u0000"', '"\\ud83d\\ude00"', "[[[[]]]]"):
        content = body(
            [{"json": {"features": {"$row": {"set": {"0": {"$raw": literal}}}}}}], default_variables(features)
        )
        answer = client.post("/score", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 422
        assert [error["loc"] for error in json.loads(answer.content)["errors"]] == [["body", "features", 0]]
