"""`twinscore features`."""

from __future__ import annotations

from pathlib import Path

import click

from shared.commands.outputs import check_outputs

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("table", type=FILE)
@click.option("--out", type=FILE, required=True, help="Parquet file to write: transaction_id, then the 42 features.")
def features(table: Path, out: Path) -> None:
    """Compute the 42 features of every transaction in TABLE (.parquet or .csv)."""
    from shared.model.features.batch import compute_features
    from shared.training.tables import read_transactions, write_features

    check_outputs({"--out": out}, inputs=[table], endings=[".parquet"])
    transactions = read_transactions(table)
    click.echo(f"{len(transactions):,} transactions read; computing features", err=True)
    write_features(out, transactions, compute_features(transactions))
    click.echo(f"wrote {out}", err=True)
