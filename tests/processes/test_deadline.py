"""A request not answered by its deadline is answered 504, and holds nothing any longer."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from shared.model.package import ModelPackage
from tests.conftest import VARIANTS, Server, StartServer
from tests.processes.test_serve import counted, golden_request
from tests.raw import Connection

DEADLINE = {"TWINSCORE_DEADLINE_SECONDS": "0.5"}
HEAD = b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


@pytest.fixture(params=VARIANTS)
def server(request: pytest.FixtureRequest, start_server: StartServer) -> Iterator[Server]:
    return start_server(request.param, environment=DEADLINE)


def test_a_body_that_never_comes_is_answered_504_and_the_connection_ends(server: Server) -> None:
    with Connection(server.url) as connection:
        connection.send(HEAD % 1000 + b'{"features": [')
        answer = connection.read()
        assert answer.status == 504
        assert json.loads(answer.body)["type"] == "urn:twinscore:problem:deadline-exceeded"
        assert connection.is_closed()


def test_slow_clients_hold_no_slot(server: Server, package: ModelPackage) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(Connection(server.url)) for _ in range(50)]
        for connection in slow:
            connection.send(HEAD % 1000 + b"{")
        assert counted(server, "http_requests_in_flight") == 0
        assert httpx.post(f"{server.url}/score", json=golden_request(package)).status_code == 200
        assert [connection.read().status for connection in slow] == [504] * 50


def test_a_refusal_that_discards_for_longer_than_the_deadline_is_still_read(server: Server) -> None:
    with Connection(server.url) as connection:
        connection.send(HEAD % 10**9 + b" " * 100_000)
        assert connection.read().status == 413
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        assert connection.is_closed()
    assert server.log is not None
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("variant", VARIANTS)
def test_more_than_the_configured_requests_in_flight_are_answered_429(
    variant: str, start_server: StartServer, package: ModelPackage
) -> None:
    server = start_server(variant, environment={"TWINSCORE_MAX_IN_FLIGHT": "1"})
    rows = (package.manifest.golden.rows * 8)[:1024]

    def post() -> httpx.Response:
        return httpx.post(f"{server.url}/score/batch", json={"rows": rows}, timeout=30)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: post(), range(64)))
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["type"] == "urn:twinscore:problem:too-many-requests"
    # Probes are never refused for load, and every slot was given back.
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    assert post().status_code == 200
    # The schema is checked before the load.
    assert httpx.post(f"{server.url}/score", json={"features": []}).status_code == 422


@pytest.mark.parametrize("variant", VARIANTS)
def test_clients_that_come_back_at_once_do_not_crowd_out_answers(
    variant: str, start_server: StartServer, package: ModelPackage
) -> None:
    server = start_server(variant, environment={"TWINSCORE_MAX_IN_FLIGHT": "1"})
    body = json.dumps({"rows": (package.manifest.golden.rows * 8)[:1024]})
    clients, seconds = 32, 2.0
    until = time.monotonic() + seconds

    def insist(_: int) -> Counter[int]:
        statuses: Counter[int] = Counter()
        with httpx.Client(headers={"content-type": "application/json"}, timeout=30) as client:
            while time.monotonic() < until:
                statuses[client.post(f"{server.url}/score/batch", content=body).status_code] += 1
        return statuses

    with ThreadPoolExecutor(clients) as pool:
        total = sum(pool.map(insist, range(clients)), Counter())
    assert set(total) == {200, 429}
    # Each comes back once a second, or when a slot is free. Unheld, some thirty are refused for each that is answered.
    assert total[429] <= 2 * total[200] + clients * (seconds + 1)
