"""The phases of a soak, one after the other, each with its own services and its own result."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.reliability.limits import raise_file_limit
from shared.reliability.machine import describe
from shared.reliability.mixed import Mixed
from shared.reliability.overload import overload
from shared.reliability.results import PhaseResult
from shared.reliability.second_model import write_second_version
from shared.reliability.services import VARIANTS
from shared.reliability.siege import siege
from shared.reliability.swap import swap_under_load
from shared.reliability.tables import hostile_result, mixed_result, overload_result, swap_result

SECOND_VERSION = "9999.0.0"
FILES_A_REQUEST = 4
"""One at the client, two in the proxy, one in the service, of which the proxy has the most."""

PROGRESS_LINES = 60
PROGRESS_SECONDS = 10.0


@dataclass(frozen=True)
class Plan:
    """What a soak does.

    Attributes:
        model: folder of the package.
        minutes: of the mixed load.
        in_flight: requests of the swap.
        hostile: requests at each variant.
        seconds: of each measurement of the overload.
        seed: of hostile requests.
        command: as it was typed, for the results.
    """

    model: Path
    minutes: float
    in_flight: int
    hostile: int
    seconds: float
    seed: int
    command: str


class Soak:
    """Runs phases until `stop` is called; see `run`."""

    def __init__(self, plan: Plan, tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._tell = tell
        self._mixed: Mixed | None = None
        self._running: asyncio.Task[PhaseResult] | None = None
        self.stopped = False

    def stop(self) -> None:
        """Ends the mixed load early, with its table; gives up any other phase. The second time gives up all."""
        if self._mixed is not None and not self.stopped:
            self._mixed.stop()
        elif self._running is not None:
            self._running.cancel()
        self.stopped = True

    async def run(self, phases: Sequence[str], done: Callable[[PhaseResult], None]) -> None:
        """Calls `done` with each result. Raises StartError or UserError where services or HAProxy do not start."""
        raise_file_limit()
        work: dict[str, Callable[[Path], Awaitable[PhaseResult]]] = {
            "overload": self._overload,
            "swap": self._swap,
            "hostile": self._hostile,
            "mixed": self._mix,
        }
        for name in phases:
            if self.stopped:
                return
            # Before it begins: the load average is then that of others.
            meta = describe(self._plan.command)
            with tempfile.TemporaryDirectory(prefix="twinscore-soak-") as folder:
                self._running = asyncio.create_task(_awaited(work[name](Path(folder))))
                try:
                    result = await self._running
                except asyncio.CancelledError:
                    self._tell(f"{name} is given up")
                    return
            result.meta = meta
            done(result)

    async def _overload(self, folder: Path) -> PhaseResult:
        reports = []
        for variant in VARIANTS:
            self._tell(f"overload of {variant}")
            reports.append(await overload(variant, self._plan.model, folder, seconds=self._plan.seconds))
        return overload_result(reports)

    async def _swap(self, folder: Path) -> PhaseResult:
        in_flight = min(self._plan.in_flight, raise_file_limit() // FILES_A_REQUEST)
        second = folder / "second" / SECOND_VERSION
        await asyncio.to_thread(write_second_version, self._plan.model, SECOND_VERSION, second)
        return swap_result(
            await swap_under_load(self._plan.model, second, folder, in_flight=in_flight, tell=self._tell)
        )

    async def _hostile(self, folder: Path) -> PhaseResult:
        reports, plan = [], self._plan
        for variant in VARIANTS:
            self._tell(f"{plan.hostile:,} hostile requests to {variant}")
            last = time.monotonic()

            def progress(sent: int, variant: str = variant) -> None:
                nonlocal last
                if time.monotonic() - last > PROGRESS_SECONDS:
                    last = time.monotonic()
                    self._tell(f"{sent:,} of {plan.hostile:,} to {variant}")

            report = await siege(variant, plan.model, folder, count=plan.hostile, seed=plan.seed, progress=progress)
            reports.append(report)
        return hostile_result(reports)

    async def _mix(self, folder: Path) -> PhaseResult:
        seconds = self._plan.minutes * 60
        self._tell(f"mixed load for {self._plan.minutes:g} minutes; Ctrl-C ends it with its table")
        self._mixed = Mixed(self._plan.model, folder, seconds=seconds, seed=self._plan.seed, tell=self._tell)
        following = asyncio.create_task(self._follow(self._mixed, seconds))
        try:
            return mixed_result(await self._mixed.run())
        finally:
            following.cancel()

    async def _follow(self, mixed: Mixed, seconds: float) -> None:
        report, began = mixed.report, time.monotonic()
        while True:
            await asyncio.sleep(max(PROGRESS_SECONDS, seconds / PROGRESS_LINES))
            sent = sum(tally.sent for tally in report.tallies.values())
            hostile = sum(target.hostile.sent for target in report.targets.values())
            self._tell(
                f"{(time.monotonic() - began) / 60:.1f} of {seconds / 60:g} minutes: {sent:,} sent, "
                f"{len(report.failed)} failed, {report.restarts} restarts, {len(report.kills)} kills, {hostile:,} hostile"
            )


async def _awaited(work: Awaitable[PhaseResult]) -> PhaseResult:
    return await work
