# ruff: noqa: T201
"""Prints the process ids of the workers that listen on a port, busiest first: `python workers.py 8001`."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter

import psutil


def connections(process: psutil.Process, port: int) -> Counter[str]:
    """How many sockets of each state this process holds on the port. What we may not look into has none."""
    with contextlib.suppress(psutil.Error):
        return Counter(one.status for one in process.net_connections("tcp") if one.laddr.port == port)
    return Counter()


if len(sys.argv) != 2 or not sys.argv[1].isdigit():
    sys.exit("give the port of the service: python workers.py 8001")
held = {process: connections(process, int(sys.argv[1])) for process in psutil.process_iter()}
listening = [process for process, states in held.items() if states[psutil.CONN_LISTEN]]
# A supervisor holds the listening socket too, and is the parent of the others.
parents = {process.ppid() for process in listening}
workers = [process for process in listening if process.pid not in parents]
for worker in sorted(workers, key=lambda process: -held[process][psutil.CONN_ESTABLISHED]):
    print(worker.pid)
