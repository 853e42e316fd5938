"""`twinscore simulate`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from shared.commands.outputs import check_outputs


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File, .parquet or .csv.")
@click.option("--days", type=click.IntRange(1), default=183, show_default=True)
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), default="2018-04-01", show_default=True)
@click.option("--customers", type=click.IntRange(1), default=5_000, show_default=True)
@click.option("--terminals", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def simulate(out: Path, days: int, start: datetime, customers: int, terminals: int, seed: int) -> None:
    """Write a table of simulated card transactions, by the published design of the Fraud Detection Handbook."""
    check_outputs({"--out": out}, endings=[".parquet", ".csv"])
    from shared.training.simulator import simulate as make
    from shared.training.tables import write_transactions

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(f"simulating {days} days", total=1)
        table = make(
            customers=customers,
            terminals=terminals,
            days=days,
            start=start.date(),
            seed=seed,
            progress=lambda done: progress.update(task, completed=done),
        )
    write_transactions(out, table)
    click.echo(f"wrote {out}: {len(table):,} transactions, {int(table.is_fraud.sum()):,} fraudulent", err=True)
