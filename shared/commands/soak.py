"""`twinscore soak`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from shared.commands.extras import require
from shared.contract.errors import UserError
from shared.reliability.results import (
    PHASES,
    PhaseResult,
    as_text,
    check_document,
    read_results,
    write_document,
    write_results,
)

FILE = click.Path(path_type=Path, dir_okay=False)


def _phases(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str]:
    names = [name.strip() for name in value.split(",")] if value else list(PHASES)
    unknown = [name for name in names if name not in PHASES]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(PHASES)}")
    return [name for name in PHASES if name in names]


@click.command()
@click.option(
    "--only",
    callback=_phases,
    metavar="PHASE[,PHASE...]",
    help=f"Only these phases, of {', '.join(PHASES)}; unset: all.",
)
@click.option(
    "--minutes", type=click.FloatRange(0.05, 10_000), default=60.0, show_default=True, help="Of the mixed load."
)
@click.option(
    "--hostile", type=click.IntRange(20), default=100_000, show_default=True, help="Hostile requests to each variant."
)
@click.option(
    "--in-flight",
    type=click.IntRange(20, 8000),
    default=2000,
    show_default=True,
    help="Requests in flight of the swap.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.2, 600),
    default=5.0,
    show_default=True,
    help="Of each measurement of the overload.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of hostile requests.")
@click.option("--model", type=click.Path(path_type=Path, file_okay=False), help="Folder of the model package to serve.")
@click.option(
    "--results", type=FILE, help="JSON file for the figures; phases it holds that are not run now stay in it."
)
@click.option(
    "--document",
    "documents",
    type=FILE,
    multiple=True,
    help="Markdown file whose tables, between two marked lines, are written anew from all results; may be repeated.",
)
def soak(
    only: list[str],
    minutes: float,
    hostile: int,
    in_flight: int,
    seconds: float,
    seed: int,
    model: Path | None,
    results: Path | None,
    documents: tuple[Path, ...],
) -> None:
    """Put both variants under what may happen to them, and tell what became of every request.

    overload: ten times the connections that give the peak. swap: a worker killed, variant and model swapped, services
    stopped under load. hostile: malformed requests on raw sockets. mixed: rows, batches, bad and hostile input at once,
    with restarts and kills. Exit code 1 if a request failed for no known reason, or anything else that must not be.
    """
    require("fastapi", "fastapi", "uvicorn")
    require("bento", "bentoml")
    for document in documents:
        check_document(document)
    collected = {} if results is None else read_results(results)
    # Not above: a mistake in an option needs no libraries to be told.
    from shared.model.locate import latest_package
    from shared.reliability.proxy import haproxy
    from shared.reliability.services import StartError
    from shared.reliability.soak import Plan, Soak

    if {"swap", "mixed"} & set(only):
        haproxy()
    command = " ".join(["twinscore", *sys.argv[1:]])
    plan = Plan(model or latest_package(), minutes, in_flight, hostile, seconds, seed, command)
    began = time.monotonic()
    faults = 0

    def tell(line: str) -> None:
        click.echo(f"{time.monotonic() - began:6.0f} s  {line}", err=True)

    def done(result: PhaseResult) -> None:
        nonlocal faults
        faults += len(result.faults)
        collected[result.phase] = result
        click.echo(as_text(result) + "\n")
        if results is not None:
            write_results(results, collected)
        for document in documents:
            write_document(document, collected)

    running = Soak(plan, tell)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, running.stop)
        await running.run(only, done)

    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        try:
            runner.run(run())
        except StartError as error:
            raise UserError(str(error)) from None
    if running.stopped:
        click.echo("stopped: the tables cover what was measured", err=True)
    sys.exit(1 if faults else 0)


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop, where it is: the load needs less of the machine then."""
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None
