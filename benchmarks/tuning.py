"""The settings of the fit against their alternatives: `python -m benchmarks.tuning TABLE --before DAY`.

Every alternative changes one setting of `FitSettings` and is trained and tested by the published protocol on
each earlier week of the table, so that the days from `--before` on stay unseen. For the published table:
`python -m benchmarks.tuning handbook-transactions.parquet --before 2018-08-01`, 10 s for each line and week.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import click
import numpy as np

from shared.contract.errors import UserError
from shared.model.features.transactions import Transactions
from shared.training.fit import FitSettings
from shared.training.split import Protocol
from shared.training.tables import read_transactions
from shared.training.train import train_model

DEFAULT = FitSettings()

CANDIDATES = {
    "default": DEFAULT,
    "max_depth 3": replace(DEFAULT, max_depth=3),
    "max_depth 5": replace(DEFAULT, max_depth=5),
    "min_child_weight 1": replace(DEFAULT, min_child_weight=1.0),
    "min_child_weight 15": replace(DEFAULT, min_child_weight=15.0),
    "gamma 0": replace(DEFAULT, gamma=0.0),
    "gamma 8": replace(DEFAULT, gamma=8.0),
    "colsample_bytree 1": replace(DEFAULT, colsample_bytree=1.0),
    "max_bin 256": replace(DEFAULT, max_bin=256),
    "XGBoost's depth and rate": replace(
        DEFAULT, max_depth=6, learning_rate=0.3, min_child_weight=1.0, gamma=0.0, colsample_bytree=1.0, max_bin=256
    ),
}

FIGURES = ("auc_roc", "average_precision", "card_precision_at_100", "brier", "rounds")

HISTORY = timedelta(17)
"""Days before the first training day: terminals are then seen through 10 days of labels."""


def weeks(transactions: Transactions, before: date) -> list[date]:
    """First training days, a week apart, whose last test day lies before the given day; oldest first."""
    first: date = transactions.timestamp[0].astype("datetime64[D]").item()
    start = before - timedelta(Protocol(before).days)
    starts = []
    while start >= first + HISTORY:
        starts.append(start)
        start -= timedelta(7)
    return starts[::-1]


@click.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--before", type=click.DateTime(["%Y-%m-%d"]), required=True, help="First day that is not looked at.")
@click.option("--seed", type=int, default=0, show_default=True)
def main(table: Path, before: datetime, seed: int) -> None:
    """Compare settings of the fit on the weeks of TABLE that end before a day."""
    try:
        transactions = read_transactions(table)
    except UserError as error:
        raise click.ClickException(str(error)) from None
    transactions = transactions.select(transactions.timestamp < np.datetime64(before))
    starts = weeks(transactions, before.date()) if len(transactions) else []
    if not starts:
        raise click.ClickException(f"{table} has no week of training and test before {before.date()}")
    click.echo(f"mean of training from {', '.join(map(str, starts))}")
    click.echo(f"{'':26}" + "".join(f"{name:>23}" for name in FIGURES))
    for name, settings in CANDIDATES.items():
        runs = [train_model(transactions, train_start=start, seed=seed, settings=settings) for start in starts]
        means = [np.mean([run.evaluation[figure] for run in runs]) for figure in FIGURES]
        click.echo(f"{name:26}" + "".join(f"{mean:23.4f}" for mean in means))


if __name__ == "__main__":
    main()
