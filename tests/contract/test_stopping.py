"""Stopping is never held up by clients that went away."""

from __future__ import annotations

import pytest

from tests.conftest import VARIANTS, StartServer
from tests.raw import Connection, request


@pytest.mark.parametrize("name", VARIANTS)
def test_a_client_that_went_away_in_the_middle_of_a_body_does_not_hold_up_the_end(
    start_server: StartServer, name: str
) -> None:
    # With this deadline, what is still waiting keeps the service alive for longer than the test waits.
    server = start_server(name, environment={"TWINSCORE_DEADLINE_SECONDS": "60"})
    for content in (request("POST", "/score", b"x" * 100)[:-50], request("POST", "/score/batch", b"x" * 100)[:-50]):
        with Connection(server.url) as connection:
            connection.send(content)
    with Connection(server.url) as connection:
        connection.send(request("GET", "/livez"))
        assert connection.read().status == 200
    server.stop()
