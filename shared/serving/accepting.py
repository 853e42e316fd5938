"""New connections are accepted as fast as they come, under load too.

libuv, the engine of uvloop, accepts one connection in each turn of its loop for each listening descriptor. A turn under
load serves a request of every connection there is, so of hundreds of new clients some would wait for many seconds, and
probes behind them. So the listening socket is there under several descriptors: as many are accepted in a turn.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

DESCRIPTORS = 32
"""Of each listening socket. One that finds no connection left costs half a microsecond."""


def listeners(sockets: Sequence[socket.socket]) -> list[socket.socket]:
    """The same listening sockets, each under `DESCRIPTORS` descriptors, none of which blocks."""
    copies = [_copy(listener) for listener in sockets for _ in range(DESCRIPTORS - 1)]
    for listener in sockets:
        listener.setblocking(False)
    return [*sockets, *copies]


def _copy(listener: socket.socket) -> socket.socket:
    # Not `socket.dup`: it makes the copy as blocking as the object is, and with it every descriptor in every process.
    # Another worker that serves already would then stand still in `accept`, until the next connection comes.
    return socket.socket(listener.family, listener.type, listener.proto, fileno=os.dup(listener.fileno()))
