"""Cases that were found, or that others have found in servers like this: replayed against both variants, always."""

from __future__ import annotations

import socket

import pytest

from shared.reliability.attack import STATUS
from shared.reliability.services import Service
from tests.fuzz.corpus import CORPUS

IDLE_SECONDS = 0.3
ANSWER_SECONDS = 10.0


@pytest.mark.parametrize("name", CORPUS)
def test_found_case(service: Service, name: str) -> None:
    found = CORPUS[name]
    statuses: list[int] = []
    received = b""
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.sendall(found.content)
            while data := connection.recv(65536):
                received += data
                statuses = [int(status) for status in STATUS.findall(received)]
                if len(statuses) >= len(found.statuses):
                    connection.settimeout(IDLE_SECONDS)
        except OSError:
            pass
    assert statuses == found.statuses
    assert service.status("/livez") == 200
