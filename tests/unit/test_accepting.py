"""A listening socket under several descriptors."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from shared.serving.accepting import DESCRIPTORS, listeners


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as opened:
        yield opened


def listening(stack: contextlib.ExitStack, kind: type[socket.socket] = socket.socket) -> socket.socket:
    made = stack.enter_context(kind())
    made.bind(("127.0.0.1", 0))
    made.listen(DESCRIPTORS)
    return made


def test_as_many_connections_are_accepted_as_there_are_descriptors(stack: contextlib.ExitStack) -> None:
    listener = listening(stack)
    found = [stack.enter_context(copy) for copy in listeners([listener])]
    assert len({copy.fileno() for copy in found}) == DESCRIPTORS
    clients = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in found]
    accepted = [stack.enter_context(copy.accept()[0]) for copy in found]
    assert {one.getpeername() for one in accepted} == {client.getsockname() for client in clients}
    for copy in found:
        with pytest.raises(BlockingIOError):
            copy.accept()


def test_a_worker_that_starts_does_not_block_another_that_serves(stack: contextlib.ExitStack) -> None:
    seen = []

    class Watched(socket.socket):
        def settimeout(self, value: float | None) -> None:
            super().settimeout(value)
            seen.append(os.get_blocking(self.fileno()))

    listener = listening(stack, Watched)
    # What another worker did to the socket that both have; the object here does not know.
    os.set_blocking(listener.fileno(), False)
    assert listener.gettimeout() is None
    found = [stack.enter_context(copy) for copy in listeners([listener])]
    assert not any(seen)
    assert not any(os.get_blocking(copy.fileno()) for copy in found)
