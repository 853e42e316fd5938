"""Slow and odd clients: they hold no slot for long, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shared.model.package import ModelPackage
from shared.reliability.limits import raise_file_limit
from shared.reliability.load import Load, until
from shared.reliability.requests import single_rows
from shared.reliability.services import Service
from tests.conftest import VARIANTS
from tests.faults.conftest import eventually, in_flight, scores
from tests.raw import Connection, request

DEADLINE_SECONDS = 1.5
SETTINGS = {"TWINSCORE_DEADLINE_SECONDS": str(DEADLINE_SECONDS), "TWINSCORE_DRAIN_SECONDS": "0"}
CLIENTS = 50
IDLE_CLIENTS = 2000
READ_BUFFER = 4096


@pytest.fixture(scope="module", params=VARIANTS)
def service(
    request: pytest.FixtureRequest, default_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    raise_file_limit()
    started = Service(request.param, default_model, tmp_path_factory.mktemp(request.param), environment=SETTINGS)
    try:
        asyncio.run(started.start())
        yield started
        lines = started.log.read_text()
        assert "Traceback" not in lines
        assert "ASGI callable" not in lines
    finally:
        started.kill()


@pytest.fixture(scope="module")
def row(package: ModelPackage) -> list[float | None]:
    return package.manifest.golden.rows[0]


@pytest.fixture(scope="module")
def single(row: list[float | None]) -> bytes:
    return request("POST", "/score", json.dumps({"features": row}).encode())


@pytest.fixture(scope="module")
def batch(package: ModelPackage) -> bytes:
    """The largest request there is; its answer has some 20 KB."""
    rows = package.manifest.golden.rows * 8
    return request("POST", "/score/batch", json.dumps({"rows": rows[:1024]}).encode())


class Dribble(threading.Thread):
    """Sends content byte by byte on many connections, until the service ends each."""

    def __init__(self, connections: list[Connection], content: bytes) -> None:
        super().__init__()
        self._connections = connections
        self._content = content
        self.stopped = threading.Event()
        self.ended = 0

    def run(self) -> None:
        left = list(self._connections)
        for byte in self._content:
            for connection in list(left):
                try:
                    connection.send(b"%c" % byte)
                except OSError:
                    left.remove(connection)
                    self.ended += 1
            if self.stopped.wait(0.05) or not left:
                return


@pytest.mark.parametrize("part", ["head", "body"])
def test_bytes_dribbled_in(service: Service, row: list[float | None], single: bytes, part: str) -> None:
    """A head that ends as none, and a body that is not there by the deadline, end their connections."""
    head, _, body = single.partition(b"\r\n\r\n")
    sent, dribbled = (b"", head) if part == "head" else (head + b"\r\n\r\n", body)
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(service.url)) for _ in range(CLIENTS)]
        for connection in connections:
            connection.send(sent)
        dribble = Dribble(connections, dribbled * 10)
        dribble.start()
        try:
            assert scores(service, row) == 200
            assert in_flight(service) == 0
            eventually(lambda: dribble.ended == CLIENTS)
        finally:
            dribble.stopped.set()
            dribble.join()
    assert scores(service, row) == 200


def test_clients_that_connect_and_say_nothing(service: Service, row: list[float | None]) -> None:
    """They hold no slot, and no descriptor for longer than a request may take."""
    with ExitStack() as stack:
        silent = [stack.enter_context(Connection(service.url)) for _ in range(CLIENTS)]
        halting = [stack.enter_context(Connection(service.url)) for _ in range(CLIENTS)]
        for connection in halting:
            connection.send(request("GET", "/livez") + b"GET /live")
        assert {connection.read().status for connection in halting} == {200}
        assert [scores(service, row) for _ in range(20)] == [200] * 20
        assert in_flight(service) == 0
        assert all(connection.is_closed() for connection in silent + halting)


def test_large_bodies_that_never_end_leave_room_for_others(service: Service, row: list[float | None]) -> None:
    """All of them have their deadline in the same moment, those that are read and those that wait for room."""
    head = (
        b"POST /score/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    small = request("POST", "/score", json.dumps({"features": row}).encode()).partition(b"content-length")[0]
    body = json.dumps({"features": row}).encode()
    for _ in range(2):
        with ExitStack() as stack:
            clients = [stack.enter_context(Connection(service.url)) for _ in range(80)]
            for client in clients:
                client.send(head + b"%x\r\n" % 200_000 + b" " * 100_000)
            other = stack.enter_context(Connection(service.url))
            other.send(small + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body))
            time.sleep(0.05)
            other.send(b"0\r\n\r\n")
            assert other.read("POST").status == 200
            assert {client.read("POST").status for client in clients} == {504}
    assert scores(service, row) == 200


def test_an_empty_line_keeps_no_connection_open(service: Service) -> None:
    with Connection(service.url) as connection:
        connection.send(request("GET", "/livez"))
        assert connection.read().status == 200
        connection.send(b"\r\n")
        assert connection.is_closed()


def test_half_a_head_does_not_cost_the_answer_before_it(service: Service, batch: bytes) -> None:
    with Connection(service.url) as connection:
        connection.send(batch + b"GET /live")
        assert connection.read("POST").status == 200
        assert connection.is_closed()


def test_clients_that_never_read(service: Service, row: list[float | None], batch: bytes) -> None:
    """Their requests fill the service's buffers with answers that nobody takes."""
    with ExitStack() as stack:
        clients = []
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BUFFER)
            client.connect(("127.0.0.1", service.port))
            client.settimeout(0.3)
            clients.append(client)
        sent = 0
        for client in clients:
            try:
                while sent < 4000:
                    client.sendall(batch)
                    sent += 1
            except OSError:
                continue  # its buffers are full
        assert sent < 4000
        assert scores(service, row) == 200
        eventually(lambda: in_flight(service) == 0)
    assert scores(service, row) == 200


def test_idle_connections_take_nothing_from_others(service: Service, row: list[float | None]) -> None:
    count = min(IDLE_CLIENTS, raise_file_limit() // 3)
    probe = request("GET", "/livez")
    with ExitStack() as stack:
        idle = [stack.enter_context(Connection(service.url)) for _ in range(count)]
        for connection in idle:
            connection.send(probe)
        assert {connection.read().status for connection in idle} == {200}
        assert in_flight(service) == 0
        assert [scores(service, row) for _ in range(20)] == [200] * 20


def test_new_clients_do_not_wait_until_those_before_them_have_gone(service: Service, package: ModelPackage) -> None:
    """All are let in while each has had a few answers; libuv by itself accepts one a turn of its loop."""
    count = 300

    async def scenario() -> int:
        load = Load("127.0.0.1", service.port, single_rows(package.manifest), connections=count)
        await load.start()
        await until(lambda: load.unanswered == 0, 60, "every client has an answer")
        answered = load.tally.good
        assert (await load.stop()).failed == []
        return answered

    assert asyncio.run(scenario()) < count * count / 6


def test_pipelined_requests_do_not_come_before_those_of_others(
    service: Service, row: list[float | None], single: bytes
) -> None:
    count = 1000
    with Connection(service.url) as greedy:
        thread = threading.Thread(target=greedy.send, args=(single * count,))
        thread.start()
        assert scores(service, row, timeout=10) == 200
        assert {greedy.read("POST").status for _ in range(count)} == {200}
        thread.join()
    assert in_flight(service) == 0


def test_a_half_closed_client_that_has_not_sent_all_is_let_go(service: Service, single: bytes) -> None:
    for sent in (0, 10, len(single) - 5):
        with Connection(service.url) as connection:
            connection.send(single[:sent])
            connection.socket.shutdown(socket.SHUT_WR)
            assert connection.is_closed()
    assert in_flight(service) == 0


def test_clients_that_reset(service: Service, row: list[float | None], single: bytes, batch: bytes) -> None:
    contents = [single[:10], single[:-5], single, single * 20, batch[: len(batch) // 2], batch, batch + single[:30]]
    for _ in range(5):
        for content in contents:
            client = socket.create_connection(("127.0.0.1", service.port))
            # Closed with a reset in place of an end.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(content)
            time.sleep(0.002)
            client.close()
    assert scores(service, row) == 200
    eventually(lambda: in_flight(service) == 0)
