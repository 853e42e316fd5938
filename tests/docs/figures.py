"""Results of a whole run of `twinscore bench`, of the form it writes, with figures that only a test believes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.load.outcome import Outcome
from benchmarks.plan import Case, Loads, cases
from benchmarks.results import Measurement, Phase, Results, describe_run

SUITES = ("contenders", "ladder", "crossover", "kind", "telemetry", "workers")
ROUNDS = 3


def write_results(path: Path) -> Results:
    """Every case of every suite, three rounds."""
    plan = cases(SUITES, (), quick=False, loads=Loads((1, 16, 64, 128), (800,), 0))
    found = [_measured(case, number) for number in range(ROUNDS) for case in plan]
    results = Results(describe_run(command="twinscore bench", rounds=ROUNDS), found)
    results.write(path)
    return results


def _measured(case: Case, number: int) -> Measurement:
    name = case.contender.name
    best = {"fastapi": 2500, "bento": 1400}.get(name.split("-")[0], 900) / (1 if case.predictor == "ours" else 2)
    best *= {"packaged": 1.2, "deep": 1.0, "huge": 0.4}[case.model] * (1 + 0.04 * number)
    refused = 0.6 if name == "textbook-bento" else 0.0
    phases = []
    for load in case.loads.connections:
        rate = best * load / (load + 2)
        phases.append(_phase("closed", load, rate, refused if load > 16 else 0.0))
    if phases:
        phases.append(_phase("after", 1, best / (30 if refused else 3), 0.0))
    phases += [_phase("open", rate, min(rate, best), refused) for rate in case.loads.rates]
    if case.loads.users:
        phases.append(_phase("users", case.loads.users, best / 2, 0.0))
    slow = 2.2 if "bento" in name else 1.3
    return Measurement(
        case.suite, name, case.predictor, case.model, number, slow + 0.1 * number, 200.0, 100 * slow, phases
    )


def _phase(kind: str, load: int, rate: float, refused: float) -> Phase:
    seconds, p50 = 10.0, 1000 * (load if kind == "closed" else 1) / rate
    good = int(rate * seconds * (1 - refused))
    outcome = Outcome(seconds, good, int(rate * seconds * refused), 0, p50, p50 * 1.5, p50 * 3, p50 * 5, p50 * 9)
    return Phase(kind, load, outcome, 1e6 / rate, min(load, 20) if kind == "closed" else None)
