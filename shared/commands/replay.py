"""`twinscore replay`: past transactions, one at a time, through the online features and running services."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from shared.contract.errors import UserError

if TYPE_CHECKING:
    from shared.replay.figures import Day
    from shared.replay.job import Report

FILE = click.Path(path_type=Path, dir_okay=False)
DAY = click.DateTime(["%Y-%m-%d"])
DEFAULT_THRESHOLD = 0.5
"""Where the model card has none."""

SHOWN = ("auc_roc", "average_precision", "card_precision_at_100", "precision", "recall", "rows", "frauds")


@click.command()
@click.argument("table", type=FILE)
@click.option("--url", "urls", multiple=True, required=True, help="The service; twice to compare two of them.")
@click.option(
    "--from", "begin", type=DAY, help="First day to send; those before are history. Unset: the table's first."
)
@click.option("--to", "end", type=DAY, help="Last day to send. Unset: the table's last.")
@click.option(
    "--rate", type=click.FloatRange(0, min_open=True), help="Transactions a second. Unset: as fast as it goes."
)
@click.option(
    "--in-flight", type=click.IntRange(1, 256), default=8, show_default=True, help="Sent at once to a service."
)
@click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Alert from this probability on. Unset: the model card's."
)
@click.option("--plot", type=FILE, help="An .svg file for detections over time.")
@click.option("--report", type=FILE, help="A .json file for the report.")
@click.option("--api-key", envvar="TWINSCORE_API_KEY", help="Or set TWINSCORE_API_KEY, which `ps` does not show.")
@click.option("--ca", type=FILE, help="CA certificates (PEM) to trust instead of the system's.")
def replay(
    table: Path,
    urls: tuple[str, ...],
    begin: datetime | None,
    end: datetime | None,
    rate: float | None,
    in_flight: int,
    threshold: float | None,
    plot: Path | None,
    report: Path | None,
    api_key: str | None,
    ca: Path | None,
) -> None:
    """Stream the transactions of TABLE (.parquet or .csv) through the online features and a running service.

    Each row of features is compared with the batch's, each probability with the other service's, and the detection
    figures with the offline evaluation. Labels arrive a week after their transactions. Give a table that begins 37
    days before --from, or the first windows are not full.

    Exit code: 0 all is the same, 1 something differs, 2 the table or a service cannot be used.
    """
    from shared.replay.job import replay as run
    from shared.replay.job import served_model, window
    from shared.replay.plot import check_plot_path, write_plot
    from shared.scoring.client import ScoringClient
    from shared.training.tables import read_transactions

    if len(urls) > 2 or len(set(urls)) < len(urls):
        raise UserError("--url: give one service, or two different ones")
    if plot is not None:
        check_plot_path(plot)
    if report is not None and not report.parent.is_dir():
        raise UserError(f"--report {report}: the folder {report.parent} does not exist")
    console = Console(stderr=True)
    with ExitStack() as stack:
        clients = [stack.enter_context(ScoringClient(url, api_key=api_key, ca=ca)) for url in urls]
        card = served_model(clients)
        if threshold is None:
            threshold = DEFAULT_THRESHOLD if card.decision_threshold is None else card.decision_threshold
        transactions, first = window(
            read_transactions(table), begin.date() if begin else None, end.date() if end else None
        )
        console.print(
            f"{len(transactions) - first:,} transactions to send, {first:,} before them as history; "
            f"{card.name} {card.version} from {' and '.join(urls)}",
            soft_wrap=True,
            highlight=False,
        )
        progress = stack.enter_context(_progress(console))
        task = progress.add_task("replaying", total=len(transactions))
        outcome = run(
            transactions,
            first,
            clients,
            card,
            api_key=api_key,
            in_flight=in_flight,
            rate=rate,
            threshold=threshold,
            advance=lambda rows: progress.update(task, completed=rows),
            tell=lambda day: progress.console.print(_day(day), highlight=False, soft_wrap=True),
        )
    _show(outcome)
    if report is not None:
        try:
            report.write_text(json.dumps(outcome.document(), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"--report {report} cannot be written: {error.strerror}") from None
    if plot is not None:
        write_plot(plot, outcome.days, f"{card.name} {card.version}: detections at {threshold:.3f} and above")
    sys.exit(1 if outcome.faults else 0)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)


def _day(day: Day) -> str:
    so_far = "" if day.auc_roc is None else f"; AUC {day.auc_roc:.3f}, AP {day.average_precision:.3f} so far"
    return (
        f"{day.day} labelled: {day.transactions:,} transactions, {day.alerts} alerts, "
        f"{day.caught} of {day.frauds} frauds caught{so_far}"
    )


def _show(report: Report) -> None:
    """The report on standard output."""
    outcome, console = report.outcome, Console()
    document = report.document()
    lines = Table(box=None, pad_edge=False, show_header=False)
    lines.add_row(
        "transactions", f"{outcome.n:,} in {outcome.seconds:.1f} s ({outcome.n / outcome.seconds:,.0f} a second)"
    )
    lines.add_row(
        "skew", f"{outcome.skewed_rows:,} of {outcome.first + outcome.n:,} rows differ from the batch features"
    )
    if len(outcome.urls) == 2:
        lines.add_row("differences", f"{document['differences']:,} between the two services")
    for url, latency in document["latency_ms"].items():
        lines.add_row("end to end", f"p50 {latency['p50']:.2f} ms, p99 {latency['p99']:.2f} ms  {url}")
    update = document["update_us"]
    lines.add_row("features", f"p50 {update['p50']:.0f} us, p99 {update['p99']:.0f} us of it")
    lines.add_row("sent again", f"{document['retries']:,}")
    lines.add_row("alerts", f"{report.alerts:,} at {report.threshold:.4f} and above")
    console.print(lines, highlight=False, soft_wrap=True)

    columns = {"all cards": report.online, "as evaluated": report.evaluated, "offline": report.offline}
    if report.own_test:
        columns["model card"] = report.card.evaluation
    shown = {name: figures for name, figures in columns.items() if figures is not None}
    table = Table("detection", *shown, box=None, pad_edge=False)
    for figure in SHOWN:
        values = [figures.get(figure, "-") for figures in shown.values()]
        table.add_row(figure, *(f"{value:.6f}" if isinstance(value, float) else str(value) for value in values))
    if shown:
        console.print(table, highlight=False)
    if report.not_evaluated:
        console.print(
            f"not compared with the offline evaluation: {report.not_evaluated}", highlight=False, soft_wrap=True
        )
    for fault in report.faults:
        console.print(f"FAULT {fault}", highlight=False, markup=False, soft_wrap=True)
