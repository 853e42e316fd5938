"""What keeping the features online costs: CPU time an update, memory a card and a terminal.

    python -m benchmarks.feature_state [--customers 1000] [--terminals 2000] [--days 80]

Prints both. Time is this process's CPU time, so that other work on the machine does not count; memory is what Python
allocated for the state, by tracemalloc.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from shared.model.features.state import FeatureState
from shared.model.features.state_snapshot import read_snapshot, write_snapshot
from shared.model.features.transactions import Transactions
from shared.replay.stream import transactions_of
from shared.training.simulator import simulate

CHUNK = 1_000


@click.command()
@click.option("--customers", type=click.IntRange(1), default=1_000, show_default=True)
@click.option("--terminals", type=click.IntRange(1), default=2_000, show_default=True)
@click.option("--days", type=click.IntRange(1), default=80, show_default=True)
def main(customers: int, terminals: int, days: int) -> None:
    """Feed simulated transactions through a FeatureState; measure the second half, when windows are full."""
    table = simulate(customers=customers, terminals=terminals, days=days)
    half = len(table) // 2

    state = FeatureState()
    for transaction in transactions_of(table.select(slice(half))):
        state.update(transaction)
    chunks = []
    later = list(transactions_of(table.select(slice(half, None))))
    gc.collect()
    gc.freeze()
    for first in range(0, len(later), CHUNK):
        chunk = later[first : first + CHUNK]
        began = time.process_time()
        for transaction in chunk:
            state.update(transaction)
        chunks.append((time.process_time() - began) / len(chunk) * 1e6)
    p50, p99 = np.percentile(chunks, [50, 99])
    click.echo(f"{len(table):,} transactions of {customers:,} customers at {terminals:,} terminals, {days} days")
    click.echo(f"update    {np.mean(chunks):.1f} us of CPU (mean); means of {CHUNK:,}: p50 {p50:.1f}, p99 {p99:.1f} us")
    snapshot(state)
    memory(table)


def snapshot(state: FeatureState) -> None:
    """Print the size of a snapshot and the time it takes to write and to read."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.snapshot"
        began = time.perf_counter()
        write_snapshot(path, state)
        written = time.perf_counter()
        read_snapshot(path)
        read = time.perf_counter()
        size = path.stat().st_size / 1e6
        click.echo(f"snapshot  {size:.1f} MB, written in {written - began:.2f} s, read in {read - written:.2f} s")


def memory(table: Transactions) -> None:
    """Print what the state holds at the table's end; in a pass of its own, as tracing slows every update down."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    state = FeatureState()
    for transaction in transactions_of(table):
        state.update(transaction)
    del transaction
    everything = tracemalloc.get_traced_memory()[0] - before
    terminals = len(state.terminals)
    customers = len(state.customers)
    state.terminals.clear()
    # What only terminals held is free now, but for the ids, which the customers' rows share.
    of_customers = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    click.echo(f"memory    {everything / 1e6:.1f} MB")
    click.echo(f"customer  {of_customers / customers:,.0f} bytes each, {customers:,} kept")
    click.echo(f"terminal  {(everything - of_customers) / terminals:,.0f} bytes each, {terminals:,} kept")


if __name__ == "__main__":
    main()
