"""`twinscore bench`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from shared.contract.errors import UserError

FILE = click.Path(path_type=Path, dir_okay=False)
SUITES = ("contenders", "ladder", "crossover", "kind", "telemetry", "workers")
LOADS = ("closed", "open", "users")


@click.command()
@click.option("--quick", is_flag=True, help="A first look in under three minutes: few contenders, one round.")
@click.option("--only", multiple=True, metavar="NAME", help="Only this contender; may be given several times.")
@click.option("--suite", "suites", multiple=True, type=click.Choice(SUITES), help="Only this suite; unset: all.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Times everything is repeated.")
@click.option("--seconds", type=click.FloatRange(1), default=8.0, show_default=True, help="Of each closed loop.")
@click.option("--open-seconds", type=click.FloatRange(1), default=60.0, show_default=True, help="Of each open loop.")
@click.option("--rate", type=click.IntRange(1), default=800, show_default=True, help="Requests/s of the open loop.")
@click.option("--results", type=FILE, help="Where results go as JSON; unset: benchmarks/.cache/results.json.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the report; unset: benchmarks/.cache/report.",
)
@click.option(
    "--report-from",
    type=FILE,
    multiple=True,
    help="Measure nothing: write the report of these results; several runs of one machine are put together, in --results.",
)
@click.option("--model", "models", multiple=True, metavar="NAME", help="Only this model: packaged, deep or huge.")
@click.option("--load", "kinds", multiple=True, type=click.Choice(LOADS), help="Only this load; unset: all.")
def bench(
    quick: bool,
    only: tuple[str, ...],
    suites: tuple[str, ...],
    rounds: int,
    seconds: float,
    open_seconds: float,
    rate: int,
    results: Path | None,
    out: Path | None,
    report_from: tuple[Path, ...],
    models: tuple[str, ...],
    kinds: tuple[str, ...],
) -> None:
    """Measure both variants against other servers on this machine and write a report.

    One server at a time runs on one core, the load on another. Needs a checkout and `make bench-setup`.
    """
    try:
        from benchmarks import CACHE
        from benchmarks.plan import Loads, cases
        from benchmarks.report.write import write_report
        from benchmarks.results import Measurement, Results, describe_run, read, together
        from benchmarks.run import check_tools, missing, run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "benchmarks":
            raise
        raise UserError("the benchmark is not part of the installed package: run it from a checkout") from None
    folder = out or CACHE / "report"
    if report_from:
        merged = together([read(path) for path in report_from])
        if results:
            merged.write(results)
            click.echo(f"wrote {results}")
        click.echo(f"wrote {write_report(merged, folder)}")
        return
    check_tools()
    if quick:
        loads, rounds = Loads((1, 64), (rate,), 0, 2.0, 4.0, 1.0), 1
    else:
        loads = Loads((1, 16, 64, 128), (rate,), 0, seconds, open_seconds, min(3.0, seconds))
    plan = cases(suites or SUITES, only, quick=quick, loads=loads)
    plan = [case for case in plan if not models or case.model in models]
    if kinds:
        plan = [reduced for case in plan if (reduced := case.only(kinds)).loads.any]
    absent = missing(plan)
    if absent:
        click.echo(f"left out, for want of `make bench-setup EXTRA=1`: {', '.join(absent)}", err=True)
        plan = [case for case in plan if case.contender.name not in absent]
    if not plan:
        raise UserError("nothing to measure: --only, --suite, --model and --load leave no contender")
    path = results or CACHE / "results.json"
    collected = Results(describe_run(command=" ".join(["twinscore", *sys.argv[1:]]), rounds=rounds), [])

    def keep(measurement: Measurement) -> None:
        collected.measurements.append(measurement)
        collected.write(path)

    def follow(measurement: Measurement) -> None:
        Results(collected.meta, [*collected.measurements, measurement]).write(path)

    # Ended from outside, too, it stops the server that it has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run(plan, rounds=rounds, tell=lambda line: click.echo(line, err=True), done=keep, grows=follow)
    except KeyboardInterrupt:
        click.echo("stopped: the report covers what was measured", err=True)
    click.echo(f"wrote {path}")
    click.echo(f"wrote {write_report(collected, folder)}")
