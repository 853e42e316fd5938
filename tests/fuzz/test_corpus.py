"""Cases that were found, or that others have found in servers like this: replayed against both variants, always.

A file of `corpus/` holds the bytes; its name begins with the statuses of the answers, joined by +, or `none`.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from shared.reliability.attack import STATUS
from shared.reliability.services import Service

CORPUS = Path(__file__).with_name("corpus")
FILES = sorted(CORPUS.glob("*.http"))
IDLE_SECONDS = 0.3
ANSWER_SECONDS = 10.0


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_found_case(service: Service, file: Path) -> None:
    expected = [int(status) for status in file.name.split("-")[0].split("+") if status != "none"]
    statuses: list[int] = []
    received = b""
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(file.read_bytes())
        connection.settimeout(ANSWER_SECONDS if expected else IDLE_SECONDS)
        try:
            while data := connection.recv(65536):
                received += data
                statuses = [int(status) for status in STATUS.findall(received)]
                if len(statuses) >= len(expected):
                    connection.settimeout(IDLE_SECONDS)
        except OSError:
            pass
    assert statuses == expected
    assert service.status("/livez") == 200
