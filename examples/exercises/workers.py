"""Prints the process ids of the workers that listen on a port, busiest first: `python workers.py 8001`."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter

import psutil


def connections(process: psutil.Process, port: int) -> Counter[str]:
    """How many sockets of each state this process holds on the port. What we may not look into has none."""
    with contextlib.suppress(psutil.Error):
        return Counter(one.status for one in process.net_connections("tcp") if one.laddr.port == port)
    return Counter()


def candidates(port: int) -> set[psutil.Process]:
    """Processes that may listen on a port: one that is known to, its parent, and the children of both.

    Looking into every process reads the table of all sockets as often, which takes seconds on a busy machine.
    """
    try:
        sockets = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # as on macOS
        return set(psutil.process_iter())
    found: set[psutil.Process] = set()
    # Of those that share a socket it names one.
    for pid in {one.pid for one in sockets if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid}:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            found |= {process, *process.parents()[:1]}
    return found.union(*(process.children() for process in found))


def workers(port: int) -> list[int]:
    """Process ids, the one with the most connections first."""
    held = {process: connections(process, port) for process in candidates(port)}
    listening = [process for process, states in held.items() if states[psutil.CONN_LISTEN]]
    # A supervisor holds the listening socket too, and is the parent of the others.
    parents = {process.ppid() for process in listening}
    found = [process for process in listening if process.pid not in parents]
    return [process.pid for process in sorted(found, key=lambda process: -held[process][psutil.CONN_ESTABLISHED])]


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("port", type=int)
parser.add_argument("--wait", type=int, default=0, metavar="N", help="until there are so many, for a minute at most")
given = parser.parse_args()
until = time.monotonic() + 60
while len(found := workers(given.port)) < given.wait and time.monotonic() < until:
    time.sleep(0.2)
# In one go: `head -1` may be gone before a second line.
sys.stdout.write("".join(f"{pid}\n" for pid in found))
