"""Killing a worker, and which failed requests that explains: those that it held, and no other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from shared.reliability.load import Failure
from shared.reliability.proxy import Proxy
from shared.reliability.services import Service

SETTLE_SECONDS = 3.0
SETTLED_SECONDS = 0.1


@dataclass(frozen=True)
class Kill:
    """The end of a worker, without notice.

    Attributes:
        ports: of the clients whose requests it held.
        seconds: when, `time.monotonic`.
    """

    ports: frozenset[int]
    seconds: float

    def explains(self, failure: Failure) -> bool:
        began, ended = failure.seconds
        return failure.local_port in self.ports and began <= self.seconds <= ended


async def kill_worker(service: Service, proxy: Proxy | None = None, name: str = "") -> Kill:
    """SIGKILLs the worker with the most connections.

    It is stopped first, so that what it holds stays the same while it is looked at: a killed process cannot be asked.
    Behind a proxy the clients, which are in this process, stand still too, until the proxy has passed on all they sent,
    and then until it has seen that the worker is gone: it sends what comes next on a connection that it has.

    Args:
        name: of the service in the proxy.
    """
    worker, ports = await asyncio.to_thread(service.stop_worker)
    held = ports
    if proxy is not None:
        until = time.monotonic() + SETTLE_SECONDS
        before = None
        while (held := proxy.clients_of(name, ports)) != before and time.monotonic() < until:
            before = held
            time.sleep(SETTLED_SECONDS)  # not asyncio's: nothing must be sent
    seconds = time.monotonic()
    worker.kill()
    if proxy is not None:
        psutil.wait_procs([worker], SETTLE_SECONDS)
        time.sleep(SETTLED_SECONDS)
        proxy.clients_of(name, ports)
    return Kill(held, seconds)


def unexplained(failed: Sequence[Failure], kills: Sequence[Kill]) -> list[Failure]:
    """The failures that no kill explains."""
    return [failure for failure in failed if not any(kill.explains(failure) for kill in kills)]
