"""A service at ten times what it can do: what is left of its best, how long answers take, and how soon it is over.

One worker on a core of its own and the load on another, where there are two. The load is Python, in this process: every
answer is checked against the model, good ones and refusals have latencies of their own, and it says how busy it was
itself, so that a figure that is the load's shows. (wrk would send more, and tell neither.)
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from shared.contract import routes
from shared.model.manifest import read_manifest
from shared.reliability.load import Load
from shared.reliability.machine import split_cores
from shared.reliability.requests import Request, single_rows
from shared.reliability.services import Service, on_cores

CONNECTIONS = (16, 32, 64, 128)
"""Tried for the peak."""

TIMES = 10
ROUNDS = 7
"""Peak and overload are measured in turn: on a machine that others use too, windows minutes apart do not compare."""

REFUSALS = frozenset({429, 504})
SETTLE_SECONDS = 1.0
PROBE_SECONDS = 0.1
RECOVERY_SECONDS = 3.0
"""How long a lone client is watched after the load has ended."""

WINDOW = 20
"""Requests in a row whose median tells whether a lone client is served as before."""

AS_BEFORE = 1.25
"""What it may be of the median before."""


@dataclass
class Window:
    """A stretch of a load; rates are per second, latencies of good answers in milliseconds."""

    connections: int
    good: float
    refused: float
    failed: int
    p50: float
    p99: float
    load_busy: float
    """The share of its core that the load itself took."""


@dataclass
class OverloadReport:
    """Of one variant.

    Attributes:
        peak: the connections that gave the most good answers; of `ROUNDS` windows the median one.
        over: ten times as many, in turn with the peak; of as many windows the median one.
        shares: good answers of each window in overload, as a share of the peak's window just before it.
        lone_ms: median of a lone client before.
        recovery: seconds from the end of the load until a lone client is served as before; None where it never was.
        memory: MB of all processes before, at most during, and after the overload.
        probes, probes_failed, slowest_probe: `/livez` and `/readyz` during it, on connections of their own; milliseconds.
    """

    variant: str
    peak: Window
    over: Window
    shares: list[float]
    lone_ms: float
    recovery: float | None
    memory: tuple[float, float, float]
    probes: int
    probes_failed: int
    slowest_probe: float

    @property
    def kept(self) -> float:
        """The share of the peak: the median of `shares`."""
        return median(self.shares)


async def overload(variant: str, model: Path, folder: Path, *, seconds: float = 5.0) -> OverloadReport:
    """Runs it. Raises StartError.

    Args:
        folder: for logs and BentoML's home.
        seconds: of each window.
    """
    cores = split_cores()
    service = Service(variant, model, folder, cores=cores and cores[0])
    requests = single_rows(read_manifest(model))
    try:
        await service.start()
        with on_cores(cores and cores[1]):
            return await _measure(service, requests, seconds)
    finally:
        await asyncio.to_thread(service.kill)


async def _measure(service: Service, requests: list[Request], seconds: float) -> OverloadReport:
    lone = [latency for _, latency in await _lone(service.port, requests[0], SETTLE_SECONDS)]
    tried = [await _closed(service.port, requests, count, seconds) for count in CONNECTIONS]
    best = max(tried, key=lambda found: found.good).connections
    before = service.memory()
    watch = _Watch(service)
    peaks, overs = [], []
    for _ in range(ROUNDS):
        peaks.append(await _closed(service.port, requests, best, seconds))
        load = _load(service.port, requests, best * TIMES)
        async with watch:
            await load.start()
            await _until_served(load)
            overs.append(await _window(load, best * TIMES, seconds))
        ended = time.monotonic()
        stopping = asyncio.create_task(load.stop())
        after = await _lone(service.port, requests[0], RECOVERY_SECONDS)
        await stopping
        overs[-1].failed = len(load.tally.failed)
    over = _middle(overs)
    over.failed = sum(window.failed for window in overs)
    return OverloadReport(
        service.variant,
        _middle(peaks),
        over,
        [over.good / peak.good for peak, over in zip(peaks, overs, strict=True)],
        median(lone) * 1e3,
        _recovery(after, ended, median(lone)),
        (before, watch.memory, service.memory()),
        watch.probes,
        watch.failed,
        watch.slowest * 1e3,
    )


def _middle(windows: list[Window]) -> Window:
    return sorted(windows, key=lambda window: window.good)[len(windows) // 2]


def _load(port: int, requests: list[Request], connections: int) -> Load:
    return Load(
        "127.0.0.1", port, requests, connections=connections, name="over", keep_latencies=True, refusals=REFUSALS
    )


async def _closed(port: int, requests: list[Request], connections: int, seconds: float) -> Window:
    load = _load(port, requests, connections)
    await load.start()
    await asyncio.sleep(min(SETTLE_SECONDS, seconds))
    window = await _window(load, connections, seconds)
    await load.stop()
    return window


async def _window(load: Load, connections: int, seconds: float) -> Window:
    tally = load.tally
    good, refused, failed, kept = tally.good, tally.refused.total(), len(tally.failed), len(tally.latencies)
    began, busy = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    took, busy = time.monotonic() - began, time.process_time() - busy
    p50, p99 = np.percentile(np.array(tally.latencies[kept:]) if len(tally.latencies) > kept else [np.nan], [50, 99])
    return Window(
        connections,
        (tally.good - good) / took,
        (tally.refused.total() - refused) / took,
        len(tally.failed) - failed,
        float(p50) * 1e3,
        float(p99) * 1e3,
        busy / took,
    )


async def _until_served(load: Load, seconds: float = 15.0) -> None:
    """Until every connection has been answered once, so that all of them are there when it is measured."""
    until = time.monotonic() + seconds
    while load.unanswered and time.monotonic() < until:
        await asyncio.sleep(0.05)
    await asyncio.sleep(SETTLE_SECONDS)


async def _lone(port: int, request: Request, seconds: float) -> list[tuple[float, float]]:
    """One request after the other on one connection: when each was sent, `time.monotonic`, and the seconds it took."""
    load = Load("127.0.0.1", port, [request], connections=1, name="lone", keep_latencies=True, refusals=REFUSALS)
    sent: list[tuple[float, float]] = []

    def note(began: float, status: int) -> None:
        sent.append((began, time.monotonic() - began))

    load.answered = note
    await load.start()
    await asyncio.sleep(seconds)
    await load.stop()
    return sent


def _recovery(lone: list[tuple[float, float]], ended: float, before: float) -> float | None:
    for index in range(len(lone) - WINDOW + 1):
        if median(latency for _, latency in lone[index : index + WINDOW]) <= AS_BEFORE * before:
            return max(0.0, lone[index][0] - ended)
    return None


class _Watch:
    """Asks the probes and looks at the memory of a service while it is open."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.memory = 0.0
        self.probes = 0
        self.failed = 0
        self.slowest = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._probe(path)) for path in (routes.LIVEZ, routes.READYZ)]
        self._tasks.append(loop.create_task(self._look()))

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _look(self) -> None:
        while True:
            self.memory = max(self.memory, await asyncio.to_thread(self._service.memory))
            await asyncio.sleep(0.5)

    async def _probe(self, path: str) -> None:
        content = f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode()
        while True:
            began = time.monotonic()
            answer = b""
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._service.port)
                try:
                    writer.write(content)
                    answer = await reader.read()
                finally:
                    writer.transport.abort()
            self.probes += 1
            self.failed += not answer.startswith(b"HTTP/1.1 200 ")
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(PROBE_SECONDS)
