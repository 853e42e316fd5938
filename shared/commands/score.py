"""`twinscore score`: probabilities for a file of rows, from a running service."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from shared.commands.outputs import check_outputs
from shared.contract.errors import UserError
from shared.contract.wire import MAX_BATCH_REQUEST_ROWS
from shared.scoring.client import ScoringClient
from shared.scoring.job import score_rows
from shared.scoring.reading import Table, open_table
from shared.scoring.values import Refused
from shared.scoring.writing import open_sink, replacing

FILE = click.Path(path_type=Path)
CONNECTIONS = 4
MAX_SHOWN = 50
"""Refused rows printed; `--errors` lists all."""


@click.command()
@click.argument("file", type=FILE)
@click.option("--url", required=True, help="The service, such as http://127.0.0.1:8000.")
@click.option("--out", type=FILE, help="A .csv, .jsonl or .parquet file; unset: CSV on standard output.")
@click.option("--errors", type=FILE, help="A file for the refused rows: a JSON object a line.")
@click.option("--id-column", help="Write this column's values in place of line or row numbers.")
@click.option(
    "--batch-rows",
    type=click.IntRange(1, MAX_BATCH_REQUEST_ROWS),
    default=512,
    show_default=True,
    help="Rows of a request.",
)
@click.option("--api-key", envvar="TWINSCORE_API_KEY", help="Or set TWINSCORE_API_KEY, which `ps` does not show.")
@click.option("--ca", type=FILE, help="CA certificates (PEM) to trust instead of the system's.")
def score(
    file: Path,
    url: str,
    out: Path | None,
    errors: Path | None,
    id_column: str | None,
    batch_rows: int,
    api_key: str | None,
    ca: Path | None,
) -> None:
    """Score the rows of FILE (.csv, .jsonl, .ndjson, .parquet) and write their probabilities, in order.

    Columns go by the feature names of the service's model card; others are ignored. An empty cell or NaN is a missing
    value, and so is null in JSON and Parquet. Rows that cannot be scored are reported with their line and the reason; the others are scored.
    Exit code: 0 all scored, 1 some rows refused, 2 the input or the service cannot be used (no file is written).
    """
    if id_column in ("probability", "model_version"):
        raise UserError(f"--id-column {id_column}: the output has a column of that name; rename it")
    check_outputs({"--out": out, "--errors": errors}, inputs=[file])
    console = Console(stderr=True)
    with ExitStack() as stack:
        client = stack.enter_context(ScoringClient(url, api_key=api_key, ca=ca, connections=CONNECTIONS))
        card = client.card()
        table = open_table(file, [feature.name for feature in card.features], id_column)
        rows = iter(table)
        # The columns are looked at with the first row: before anything is written.
        begun = list(islice(rows, 1))
        key = id_column or table.place_name
        sink = stack.enter_context(open_sink(out, key, table.key_type, is_place=id_column is None))
        log = None
        if errors is not None:
            log = stack.enter_context(stack.enter_context(replacing(errors)).open("w", encoding="utf-8"))
        progress = stack.enter_context(_progress(console))
        task = progress.add_task("scoring", total=table.total)
        report = _Report(console, table, id_column, log)
        tally = score_rows(
            chain(begun, rows),
            client,
            sink,
            by_key=id_column is not None,
            batch_rows=batch_rows,
            connections=CONNECTIONS,
            refuse=report,
            advance=lambda: progress.update(task, completed=table.done),
        )
    report.close()
    retries = f", {client.retries} requests sent again" if client.retries else ""
    console.print(f"{tally.scored} rows scored, {tally.refused} refused{retries}", highlight=False)
    if len(tally.versions) > 1:
        versions = " and ".join(sorted(tally.versions))
        console.print(f"the model changed meanwhile: model_version tells which of {versions} scored a row")
    sys.exit(1 if tally.refused else 0)


class _Report:
    """Tells of refused rows as they come: the first on the console, all in the file."""

    def __init__(self, console: Console, table: Table, key: str | None, log: TextIO | None) -> None:
        self._console = console
        self._place_name = table.place_name
        self._key = key
        self._log = log
        self._count = 0

    def __call__(self, row: Refused) -> None:
        self._count += 1
        if self._count <= MAX_SHOWN:
            line = f"{self._place_name} {row.place}: {row.reason}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        if self._log is not None:
            members = {self._place_name: row.place, "reason": row.reason}
            if self._key is not None:
                members["id"] = row.key
            self._log.write(json.dumps(members, ensure_ascii=False, default=str) + "\n")

    def close(self) -> None:
        if self._count > MAX_SHOWN:
            where = "all are in the --errors file" if self._log else "--errors FILE lists them all"
            self._console.print(f"and {self._count - MAX_SHOWN} more refused rows: {where}", highlight=False)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console)
