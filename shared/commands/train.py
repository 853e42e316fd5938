"""`twinscore train`: from a table of transactions to a model package."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from shared.commands.extras import require
from shared.commands.outputs import check_folder
from shared.contract.errors import UserError
from shared.model.locate import DEFAULT_NAME, DEFAULT_ROOT, DEFAULT_VERSION
from shared.model.manifest import check_identity

if TYPE_CHECKING:
    from shared.model.features.transactions import Transactions
    from shared.training.train import TrainedModel

DEFAULT_DAYS = 136
"""Days of simulated transactions: enough for the published protocol's dates with a month of history before."""

FIGURES = ("auc_roc", "average_precision", "card_precision_at_100", "brier", "precision", "recall")


@click.command()
@click.option("--data", type=click.Path(path_type=Path, dir_okay=False), help="Transactions, .parquet or .csv.")
@click.option("--name", default=DEFAULT_NAME, show_default=True, help="Name of the model.")
@click.option("--version", default=DEFAULT_VERSION, show_default=True, help="Semantic version of the package.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_ROOT,
    show_default=True,
    help="Models folder.",
)
@click.option("--train-start", type=click.DateTime(["%Y-%m-%d"]), help="First training day; unset: the last that fits.")
@click.option("--train-days", type=click.IntRange(2), default=7, show_default=True)
@click.option("--delay-days", type=click.IntRange(0), default=7, show_default=True, help="Days until labels are known.")
@click.option("--test-days", type=click.IntRange(1), default=7, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def train(
    data: Path | None = None,
    name: str = DEFAULT_NAME,
    version: str = DEFAULT_VERSION,
    out: Path = DEFAULT_ROOT,
    train_start: datetime | None = None,
    train_days: int = 7,
    delay_days: int = 7,
    test_days: int = 7,
    seed: int = 0,
) -> None:
    """Train a model on a table of transactions, evaluate it on later days and package it.

    Without --data the table is simulated.
    """
    require("train", "onnxmltools", "pyarrow", "sklearn")
    check_identity(name, version)
    directory = out / name / version
    if directory.exists():
        raise UserError(f"{directory} exists already: choose another --version, or remove it first")
    check_folder("--out", directory.parent)
    start = train_start.date() if train_start else None
    columns = (
        TextColumn("{task.description:40}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        transactions = _read(data, progress) if data else _simulate(seed, progress)
        trained = _train(transactions, start, train_days, delay_days, test_days, seed, progress)
    _package(trained, name, version, directory)


def _read(data: Path, progress: Progress) -> Transactions:
    from shared.training.tables import read_transactions

    task = progress.add_task(f"reading {data.name}", total=1)
    transactions = read_transactions(data)
    progress.update(task, completed=1)
    return transactions


def _simulate(seed: int, progress: Progress) -> Transactions:
    from shared.training.simulator import simulate

    task = progress.add_task(f"simulating {DEFAULT_DAYS} days", total=1)
    return simulate(days=DEFAULT_DAYS, seed=seed, progress=lambda done: progress.update(task, completed=done))


def _train(
    transactions: Transactions,
    start: date | None,
    train_days: int,
    delay_days: int,
    test_days: int,
    seed: int,
    progress: Progress,
) -> TrainedModel:
    from shared.training.train import train_model

    task = progress.add_task("training", total=1)
    return train_model(
        transactions,
        train_start=start,
        train_days=train_days,
        delay_days=delay_days,
        test_days=test_days,
        seed=seed,
        progress=lambda step, done: progress.update(task, description=step, completed=done),
    )


def _package(trained: TrainedModel, name: str, version: str, directory: Path) -> None:
    from shared.contract.wire import FeatureCard
    from shared.model.compile import Contents, write_package
    from shared.model.features.definition import FEATURES
    from shared.model.manifest import Histogram

    cards = [
        FeatureCard(
            name=feature.name,
            description=feature.description,
            unit=feature.unit,
            nullable=feature.nullable,
            observed_min=None if np.isnan(low) else float(low),
            observed_max=None if np.isnan(high) else float(high),
        )
        for feature, low, high in zip(FEATURES, trained.observed_min, trained.observed_max, strict=True)
    ]
    scores = trained.score_distribution
    contents = Contents(
        features=cards,
        golden_rows=trained.golden_rows,
        evaluation=trained.evaluation,
        decision_threshold=trained.decision_threshold,
        score_distribution=Histogram(edges=[float(e) for e in scores.edges], counts=[int(c) for c in scores.counts]),
    )
    booster = bytes(trained.booster.save_raw("ubj"))
    manifest = write_package(booster, contents, name=name, version=version, directory=directory)
    table = Table("evaluation on later days", "value", box=None, pad_edge=False)
    for figure in FIGURES:
        if figure in manifest.evaluation:
            table.add_row(figure, f"{manifest.evaluation[figure]:.4f}")
    console = Console(stderr=True)
    console.print(table)
    console.print(
        f"packaged {directory}: {manifest.backend}, at most {manifest.deviations[manifest.backend]:.1e} from XGBoost",
        soft_wrap=True,
        highlight=False,
    )
