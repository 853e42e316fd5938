"""Running the plan: each round starts every case anew, one after another, so that what drifts drifts for all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import CACHE, models
from benchmarks.contenders.catalog import Contender, Row, installed
from benchmarks.load import locust, open_loop
from benchmarks.load.outcome import Outcome
from benchmarks.load.wrk import LoadError, closed_loop
from benchmarks.plan import Case
from benchmarks.results import Measurement, Phase
from benchmarks.server import Running, StartError, running
from shared.contract.errors import UserError

Tell = Callable[[str], None]
Done = Callable[[Measurement], None]
WARM_UP_CONNECTIONS = 4


def cores() -> tuple[int, int]:
    """The core of the servers and that of the load.

    Raises:
        UserError: there are not two.
    """
    found = sorted(os.sched_getaffinity(0))
    if len(found) < 2:
        raise UserError("the benchmark needs two cores, one for the server and one for the load")
    return found[0], found[1]


def check_tools() -> None:
    """Raises UserError if a program that the benchmark drives is missing."""
    for program, package in (("wrk", "wrk"), ("taskset", "util-linux"), ("node", "nodejs")):
        if shutil.which(program) is None:
            raise UserError(f"{program} is missing: install it (Debian: apt-get install {package})")
    if not open_loop.available():
        raise UserError("the constant-rate load generator is missing: run `make bench-setup`")


def missing(cases: Sequence[Case]) -> list[str]:
    """Names of the contenders whose environment has not been made."""
    return sorted({case.contender.name for case in cases if not installed(case.contender)})


def run(cases: Sequence[Case], *, rounds: int, tell: Tell, done: Done, grows: Done) -> None:
    """Measures every case `rounds` times; `done` gets each measurement, `grows` what there is of it after each load."""
    server_core, load_core = cores()
    # This process polls servers that start: it must not do so on their core.
    os.sched_setaffinity(0, {load_core})
    folders = {name: models.package(name, tell) for name in dict.fromkeys(case.model for case in cases)}
    for number in range(rounds):
        for position, case in enumerate(cases):
            title = f"{case.contender.label} ({case.predictor}, {case.model})"
            tell(f"round {number + 1}/{rounds}, {position + 1}/{len(cases)}: {title}")
            both = f"{server_core},{load_core}"
            pinned = (both, both) if case.contender.shares else (str(server_core), str(load_core))
            done(_measure(case, number, folders[case.model], *pinned, tell, grows))


def _measure(
    case: Case, number: int, folder: Path, server_core: str, load_core: str, tell: Tell, grows: Done
) -> Measurement:
    rows = models.sample(folder)
    bodies = bodies_of(case.contender, case.model, rows)
    identity = (case.suite, case.contender.name, case.predictor, case.model, number)
    phases: list[Phase] = []
    cold, rss, pss = 0.0, 0.0, 0.0
    try:
        with running(case.contender, folder, case.predictor, server_core, rows[0]) as server:
            cold = server.cold_start_seconds
            closed_loop(
                server.url,
                bodies,
                connections=WARM_UP_CONNECTIONS,
                seconds=case.loads.warm_up_seconds,
                core=load_core,
            )
            for kind, load, drive in _loads(case, server, bodies, load_core):
                phases.append(_phase(server, kind, load, drive))
                grows(Measurement(*identity, cold, phases=phases))
                outcome = phases[-1].outcome
                tell(
                    f"    {kind} {load}: {outcome.good / outcome.seconds:,.0f} good answers/s, "
                    f"p50 {outcome.p50:.2f} ms, p99 {outcome.p99:.2f} ms, {outcome.refused + outcome.failed} errors"
                )
            used = server.usage()
            rss, pss = used.rss_mb, used.pss_mb
    except (StartError, LoadError) as error:
        tell(f"    failed: {error}")
        return Measurement(*identity, cold, rss, pss, phases, failure=str(error))
    return Measurement(*identity, cold, rss, pss, phases)


Drive = Callable[[], Outcome]


def _loads(case: Case, server: Running, bodies: Path, core: str) -> list[tuple[str, int, Drive]]:
    loads = case.loads

    def closed(connections: int) -> Drive:
        return lambda: closed_loop(server.url, bodies, connections=connections, seconds=loads.seconds, core=core)

    def at_rate(rate: int) -> Drive:
        return lambda: open_loop.open_loop(server.url, bodies, rate=rate, seconds=loads.open_seconds, core=core)

    found: list[tuple[str, int, Drive]] = [("closed", count, closed(count)) for count in loads.connections]
    if len(loads.connections) > 1:
        found.append(("after", 1, closed(1)))
    found += [("open", rate, at_rate(rate)) for rate in loads.rates]
    if loads.users:
        found.append(("users", loads.users, lambda: locust.users(server.url, bodies, users=loads.users, core=core)))
    return found


def _phase(server: Running, kind: str, load: int, drive: Drive) -> Phase:
    cpu, batches = server.usage().cpu_seconds, server.batches()
    outcome = drive()
    spent = server.usage().cpu_seconds - cpu
    sent = max(1, outcome.good + outcome.refused + outcome.failed)
    rows = None
    after = server.batches()
    if batches is not None and after is not None and after[1] > batches[1]:
        rows = (after[0] - batches[0]) / (after[1] - batches[1])
    return Phase(kind, load, outcome, spent / sent * 1e6, rows)


def bodies_of(contender: Contender, model: str, rows: Sequence[tuple[Row, float]]) -> Path:
    """A file with a request body a line."""
    folder = CACHE / "bodies"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{contender.name}-{model}.jsonl"
    path.write_bytes(b"".join(contender.body_bytes(row) + b"\n" for row, _ in rows))
    return path
