"""Everything that may happen to a service in a day, in half a minute, with thousands of requests in flight.

FastAPI serves; a worker of it is killed; traffic moves to BentoML; the next version of the model takes over; the old
services are told to stop while they have requests. HAProxy stands in front, and no client ever sends a request twice.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shared.model.manifest import read_manifest
from shared.reliability.failures import Kill, kill_worker, unexplained
from shared.reliability.load import Failure, Load, Tally
from shared.reliability.proxy import Proxy
from shared.reliability.requests import single_rows
from shared.reliability.services import Service

SETTINGS = {
    "TWINSCORE_MAX_IN_FLIGHT": "8192",
    "TWINSCORE_DEADLINE_SECONDS": "30",
}
"""What is refused for load or for time is not what this is about."""

MOVE_SECONDS = 60.0
HOLD_SECONDS = 0.5


@dataclass
class SwapReport:
    """What happened.

    Attributes:
        tally: of the load.
        events: what was done, when (seconds from the first request), with how many requests in flight.
        held: requests that the killed worker held.
        unexplained: failures of any other request.
        exit_codes: of the services that were told to stop, by name.
        seconds: the load lasted.
        proxy_log: what became of the servers, and of the requests that went wrong at the proxy.
    """

    tally: Tally
    events: list[tuple[float, str, int]] = field(default_factory=list)
    held: int = 0
    unexplained: list[Failure] = field(default_factory=list)
    exit_codes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    proxy_log: str = ""

    @property
    def reasons(self) -> Counter[str]:
        return Counter(failure.reason for failure in self.tally.failed)


async def swap_under_load(
    model: Path,
    next_model: Path,
    folder: Path,
    *,
    in_flight: int = 2000,
    tell: Callable[[str], None] = lambda line: None,
) -> SwapReport:
    """Runs it. Raises StartError, UserError (no HAProxy), or TimeoutError where traffic does not move.

    Args:
        model, next_model: packages with the same golden rows, see `write_second_version`.
        folder: for logs and BentoML's home.
    """
    services = {
        "fastapi": Service("fastapi", model, folder, workers=2, environment=SETTINGS),
        "bento": Service("bento", model, folder, workers=2, environment=SETTINGS),
        "next": Service("fastapi", next_model, folder, environment=SETTINGS),
    }
    proxy = Proxy([(name, service.port) for name, service in services.items()])
    requests = single_rows(read_manifest(model), read_manifest(next_model))
    load = Load("127.0.0.1", proxy.port, requests, connections=in_flight, name="swap")
    report = SwapReport(load.tally)
    began = time.monotonic()

    def note(event: str) -> None:
        report.events.append((time.monotonic() - began, event, load.tally.in_flight))
        tell(f"{event}, with {load.tally.in_flight:,} requests in flight")

    async def move(name: str) -> None:
        """Gives all new requests to one server, and waits until the others have answered theirs."""
        await proxy.weights(**{other: 100 if other == name else 0 for other in services})
        note(f"traffic moves to {name}")
        until = time.monotonic() + MOVE_SECONDS
        while any([await proxy.serving(other) for other in services if other != name]):
            if time.monotonic() > until:
                raise TimeoutError(f"traffic did not move to {name} in {MOVE_SECONDS:g} s")
            await asyncio.sleep(0.1)
        await asyncio.sleep(HOLD_SECONDS)

    try:
        tell("starting three services")
        await asyncio.gather(*(service.start() for service in services.values()))
        await proxy.start()
        while len(await proxy.up()) < len(services):
            await asyncio.sleep(0.1)
        await proxy.weights(fastapi=100, bento=0, next=0)
        began = time.monotonic()
        await load.start()
        note("every client sends")
        kills: list[Kill] = [await kill_worker(services["fastapi"], proxy, "fastapi")]
        report.held = len(kills[0].ports)
        note("a worker of fastapi is killed")
        await asyncio.sleep(HOLD_SECONDS)
        await move("bento")
        await proxy.weights(fastapi=100)
        await asyncio.sleep(HOLD_SECONDS)
        for name in ("fastapi", "bento"):
            services[name].signal(signal.SIGTERM)
        note("fastapi and bento are told to stop, while they have requests")
        await proxy.weights(next=100, fastapi=0, bento=0)
        note("the next model takes over")
        for name in ("fastapi", "bento"):
            report.exit_codes[name] = await services[name].stopped()
        await asyncio.sleep(HOLD_SECONDS)
        note("the next model serves alone")
        await load.stop()
        report.seconds = time.monotonic() - began
        report.unexplained = unexplained(report.tally.failed, kills)
        return report
    finally:
        proxy.close()
        report.proxy_log = proxy.log
        for service in services.values():
            await asyncio.to_thread(service.kill)
