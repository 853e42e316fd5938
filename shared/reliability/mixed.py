"""A day's traffic on both variants behind HAProxy: rows, batches and bad input, while services are restarted, workers are
killed, and hostile requests come past the proxy.

The last third goes on without restarts and kills: what grows in a process that lives shows there.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.model.manifest import Manifest, read_manifest
from shared.reliability.attack import AttackReport, attack
from shared.reliability.failures import Kill, kill_worker, unexplained
from shared.reliability.hostile import Grammar
from shared.reliability.load import Failure, Load, Tally
from shared.reliability.memory import MemoryWatch
from shared.reliability.proxy import Proxy
from shared.reliability.requests import Request, bad_requests, batches, single_rows
from shared.reliability.services import VARIANTS, Service, StartError

SETTINGS = {"TWINSCORE_ACCESS_LOG": "false"}
WORKERS = 2
BATCHES = (1, 16, 128, 1024)
REFUSALS = frozenset({429, 503, 504})
BAD_INPUT = frozenset({400, 422})
TRACEBACK_LENGTH = 3000
TROUBLE_SHARE = 2 / 3
"""Of the time; in the rest nothing is restarted or killed."""

PAUSE_SECONDS = 20.0
"""Between a restart and a kill, at most; as many as `PAUSES` fit into a short run."""

PAUSES = 12
WAIT_SECONDS = 60.0
HOSTILE_AT_ONCE = 4
HOSTILE_ROUND = 100
"""Cases after which it is looked whether the service was disturbed meanwhile."""


@dataclass
class Target:
    """A service, and what was done to it.

    Attributes:
        hostile: what came back from hostile requests, those that were disturbed left out.
        interrupted: hostile requests without an answer while the service was restarted, or a worker of it killed.
        disturbed: how often one of these was begun.
        quiet: none is going on.
    """

    service: Service
    memory: MemoryWatch
    hostile: AttackReport = field(default_factory=AttackReport)
    interrupted: int = 0
    disturbed: int = 0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class MixedReport:
    """What happened.

    Attributes:
        tallies: of the loads, by name.
        targets: by variant.
        seconds: the loads lasted.
        restarts: services told to stop, and started again.
        kills: of workers.
        unexplained: failed requests that no killed worker held.
        exit_codes: of the services that were told to stop.
        faults: what else must not happen.
    """

    tallies: Mapping[str, Tally]
    targets: Mapping[str, Target]
    seconds: float = 0.0
    restarts: int = 0
    kills: list[Kill] = field(default_factory=list)
    unexplained: list[Failure] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[Failure]:
        return [failure for tally in self.tallies.values() for failure in tally.failed]


class Mixed:
    """One run.

    Args:
        model: folder of the package.
        folder: for logs and BentoML's home.
        seconds: the load lasts.
        seed: of the hostile requests.
        tell: gets a line about each thing done to a service.
    """

    def __init__(self, model: Path, folder: Path, *, seconds: float, seed: int, tell: Callable[[str], None]) -> None:
        self._seconds, self._seed, self._tell = seconds, seed, tell
        services = [Service(name, model, folder, workers=WORKERS, environment=SETTINGS) for name in VARIANTS]
        self._proxy = Proxy([(service.variant, service.port) for service in services])
        manifest = read_manifest(model)
        self._features = len(manifest.features)
        self._loads = _loads(self._proxy.port, manifest)
        self._stop = asyncio.Event()
        self.report = MixedReport(
            {name: load.tally for name, load in self._loads.items()},
            {service.variant: Target(service, MemoryWatch(service)) for service in services},
        )

    def stop(self) -> None:
        """Ends it early; what `run` returns is whole."""
        self._stop.set()

    async def run(self) -> MixedReport:
        """Raises StartError where a service does not start in the first place, UserError without HAProxy."""
        report, targets = self.report, self.report.targets
        try:
            await asyncio.gather(*(target.service.start() for target in targets.values()))
            await self._proxy.start()
            await self._until_up(*targets)
            for target in targets.values():
                target.quiet.set()
                target.memory.start()
            began = time.monotonic()
            await asyncio.gather(*(load.start() for load in self._loads.values()))
            hostile = [asyncio.create_task(self._besiege(name, target)) for name, target in targets.items()]
            trouble = asyncio.create_task(self._trouble(began))
            await asyncio.wait(
                [trouble, asyncio.create_task(self._sleep(self._seconds))], return_when=asyncio.ALL_COMPLETED
            )
            for task in hostile:
                task.cancel()
            await asyncio.gather(*hostile, return_exceptions=True)
            report.faults += [f"hostile requests: {task.exception()!r}" for task in hostile if _broke(task)]
            for target in targets.values():
                await target.memory.stop()
            await asyncio.gather(*(load.stop() for load in self._loads.values()))
            report.seconds = time.monotonic() - began
            for target in targets.values():
                target.service.signal(signal.SIGTERM)
            report.exit_codes += await asyncio.gather(*(target.service.stopped() for target in targets.values()))
            report.unexplained = unexplained(report.failed, report.kills)
            for name, target in targets.items():
                _, traceback, rest = target.service.log.read_text(errors="replace").partition("Traceback")
                if traceback:
                    report.faults.append(f"in the log of {name}: {traceback}{rest[:TRACEBACK_LENGTH]}")
            return report
        finally:
            self._proxy.close()
            for target in targets.values():
                await asyncio.to_thread(target.service.kill)

    async def _sleep(self, seconds: float) -> None:
        """Until then, or until it is ended early."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._stop.wait()

    async def _until_up(self, *names: str) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not set(names) <= await self._proxy.up():
                await asyncio.sleep(0.05)

    async def _trouble(self, began: float) -> None:
        """Restarts and kills in turn, now of one service and now of the other."""
        until = began + self._seconds * TROUBLE_SHARE
        pause = min(PAUSE_SECONDS, self._seconds * TROUBLE_SHARE / PAUSES)
        plan = [(self._restart, "fastapi"), (self._kill, "bento"), (self._restart, "bento"), (self._kill, "fastapi")]
        for number, (do, name) in enumerate(itertools.cycle(plan)):
            await self._sleep(pause)
            # However short, a run has seen a restart and a kill.
            if self._stop.is_set() or (time.monotonic() > until and number >= 2):
                return
            try:
                async with _disturbed(self.report.targets[name]):
                    await do(name)
                    await self._until_up(*self.report.targets)
            except (StartError, TimeoutError) as error:
                self.report.faults.append(f"{name} did not come back: {error or type(error).__name__}")
                self._stop.set()
                return

    async def _restart(self, name: str) -> None:
        service = self.report.targets[name].service
        self._tell(f"{name} is told to stop, and started again")
        service.signal(signal.SIGTERM)
        self.report.exit_codes.append(await service.stopped())
        await service.start()
        self.report.restarts += 1

    async def _kill(self, name: str) -> None:
        service = self.report.targets[name].service
        before = {worker.pid for worker in service.workers()}
        kill = await kill_worker(service, self._proxy, name)
        self.report.kills.append(kill)
        self._tell(f"a worker of {name} is killed with {len(kill.ports)} requests")
        async with asyncio.timeout(WAIT_SECONDS):
            while len(service.workers()) < WORKERS or before == {worker.pid for worker in service.workers()}:
                await asyncio.sleep(0.1)
            while not await asyncio.to_thread(service.is_ready):
                await asyncio.sleep(0.1)

    async def _besiege(self, name: str, target: Target) -> None:
        """Hostile requests straight at a service, for as long as nothing is being done to it."""
        for number in itertools.count():
            await target.quiet.wait()
            before = target.disturbed
            grammar = Grammar(self._seed + 2 * number + (name == "bento"), self._features)
            found = await attack(
                "127.0.0.1", target.service.port, grammar.cases(HOSTILE_ROUND), concurrency=HOSTILE_AT_ONCE
            )
            if target.disturbed != before:
                target.interrupted += len(found.unanswered)
                found.unanswered.clear()
            target.hostile.add(found)


def _loads(port: int, manifest: Manifest) -> dict[str, Load]:
    """By name: what it sends, on how many connections, how long each pauses after an answer."""

    def load(
        name: str, requests: Sequence[Request], connections: int, pause: float, refusals: frozenset[int] = REFUSALS
    ) -> Load:
        return Load(
            "127.0.0.1",
            port,
            requests,
            connections=connections,
            pause=pause,
            name=name,
            keep_latencies=True,
            refusals=refusals,
        )

    return {
        "rows": load("row", single_rows(manifest), 16, 0.02),
        "batches": load("batch", batches(BATCHES, manifest), 2, 0.1),
        "bad input": load("bad", bad_requests(manifest), 4, 0.05, REFUSALS | BAD_INPUT),
    }


@contextlib.asynccontextmanager
async def _disturbed(target: Target) -> AsyncIterator[None]:
    target.disturbed += 1
    target.quiet.clear()
    try:
        yield
    finally:
        target.quiet.set()


def _broke(task: asyncio.Task[None]) -> bool:
    return not task.cancelled() and task.exception() is not None
