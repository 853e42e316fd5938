"""Running the plan: each round starts every case anew, one after another, so that what drifts drifts for all.

Cases beside each other are started together, on the same core, and loaded in turn: the others then do nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import CACHE, models
from benchmarks.contenders.catalog import Contender, Row, installed
from benchmarks.load import locust, open_loop
from benchmarks.load.outcome import Outcome
from benchmarks.load.wrk import LoadError, closed_loop
from benchmarks.plan import Case, groups
from benchmarks.results import Measurement, Phase
from benchmarks.server import Running, StartError, running
from shared.contract.errors import UserError

Tell = Callable[[str], None]
Done = Callable[[Measurement], None]
WARM_UP_CONNECTIONS = 4

TURNS = 6
"""Of cases beside each other, in each round. Each turn is a measurement: neighbours in it are compared."""


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
        position = 0
        for group in groups(cases):
            for case in group:
                position += 1
                title = f"{case.contender.label} ({case.predictor}, {case.model})"
                tell(f"round {number + 1}/{rounds}, {position}/{len(cases)}: {title}")
            case = group[0]
            if case.beside:
                _measure_beside(group, number, folders[case.model], str(server_core), str(load_core), tell, done)
                continue
            both = f"{server_core},{load_core}"
            pinned = (both, both) if case.contender.shares else (str(server_core), str(load_core))
            done(_measure(case, number, folders[case.model], *pinned, tell, grows))


def _measure_beside(
    group: Sequence[Case], number: int, folder: Path, server_core: str, load_core: str, tell: Tell, done: Done
) -> None:
    rows = models.sample(folder)
    servers: list[tuple[Case, Running, Path]] = []
    with contextlib.ExitStack() as stack:
        for case in group:
            try:
                server = stack.enter_context(running(case.contender, folder, case.predictor, server_core, rows[0]))
                bodies = bodies_of(case.contender, case.model, rows)
                _warm_up(case, server, bodies, load_core)
            except (StartError, LoadError) as error:
                tell(f"    failed: {error}")
                done(Measurement(*_identity(case, number * TURNS), failure=str(error)))
            else:
                servers.append((case, server, bodies))
        for turn in range(TURNS):
            # Whoever comes first in one turn comes last in the next.
            order = servers[:: 1 if turn % 2 == 0 else -1]
            phases: dict[str, list[Phase]] = {case.contender.name: [] for case in group}
            for position in range(len(group[0].loads.connections)):
                for case, server, bodies in order:
                    kind, load, drive = _loads(case, server, bodies, load_core)[position]
                    phases[case.contender.name].append(_phase(server, kind, load, drive))
            for case, server, _ in servers:
                found, used = phases[case.contender.name], server.usage()
                rates = ", ".join(f"{p.outcome.good / p.outcome.seconds:,.0f} on {p.load}" for p in found)
                tell(f"    turn {turn + 1}/{TURNS}, {case.contender.label}: good answers/s {rates}")
                identity = _identity(case, number * TURNS + turn)
                done(Measurement(*identity, server.cold_start_seconds, used.rss_mb, used.pss_mb, found))


def _identity(case: Case, number: int) -> tuple[str, str, str, str, int]:
    return (case.suite, case.contender.name, case.predictor, case.model, number)


def _warm_up(case: Case, server: Running, bodies: Path, core: str) -> None:
    seconds = case.loads.warm_up_seconds
    closed_loop(server.url, bodies, connections=WARM_UP_CONNECTIONS, seconds=seconds, core=core)


def _measure(
    case: Case, number: int, folder: Path, server_core: str, load_core: str, tell: Tell, grows: Done
) -> Measurement:
    rows = models.sample(folder)
    bodies = bodies_of(case.contender, case.model, rows)
    identity = _identity(case, number)
    phases: list[Phase] = []
    cold, rss, pss = 0.0, 0.0, 0.0
    try:
        with running(case.contender, folder, case.predictor, server_core, rows[0]) as server:
            cold = server.cold_start_seconds
            _warm_up(case, server, bodies, load_core)
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
