"""Ports that a service will listen on, or that nobody is to."""

from __future__ import annotations

import atexit
import socket
import sys


def free_port() -> int:
    """A port of the loopback interface that nobody has, kept from all others as long as this process lives.

    Nobody gets it by chance while nothing listens there: a proxy that still asks after a server would take whoever does for
    that server. What is started to listen on this port can, if it sets `SO_REUSEADDR`, as servers do; connections are refused
    until then. Elsewhere than on Linux the port is free, and not kept.
    """
    holder = socket.socket()
    # Sockets that all have the option may share a port as long as at most one of them listens. Elsewhere they may not.
    keep = sys.platform == "linux"
    if keep:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    port = int(holder.getsockname()[1])
    if keep:
        atexit.register(holder.close)
    else:
        holder.close()
    return port
