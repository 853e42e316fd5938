"""Snapshots of the feature state: what is read goes on as what was written, or is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.errors import UserError
from shared.model.features.batch import compute_features
from shared.model.features.state import FeatureState
from shared.model.features.state_snapshot import read_snapshot, write_snapshot
from shared.replay.stream import transactions_of
from shared.training.simulator import simulate
from tests.conftest import ROOT
from tests.unit.test_feature_state import assert_same_bits, feed, one, transaction_of
from tests.unit.test_features import Row, quick, tables, to_table


@quick
@given(tables(), st.data())
def test_a_restored_state_goes_on_with_the_bits_of_the_batch(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("snapshot") / "state"
    transactions, is_fraud = [transaction_of(row) for row in rows], [row["is_fraud"] for row in rows]
    cut = data.draw(st.integers(0, len(rows)))
    state = FeatureState()
    feed(state, transactions[:cut], is_fraud)
    write_snapshot(path, state)
    restored = read_snapshot(path)
    assert (restored.updates, restored.newest) == (cut, state.newest)
    # Labels may come again: those since the snapshot were lost with the crash.
    for transaction, label in zip(transactions[:cut], is_fraud[:cut], strict=True):
        restored.label(transaction, label)
    later = [restored.update(transaction) for transaction in transactions[cut:]]
    if later:
        known = [row | {"is_fraud": row["is_fraud"] and number < cut} for number, row in enumerate(rows)]
        assert_same_bits(np.array(later), compute_features(to_table(known))[cut:])
    write_snapshot(path, restored)
    assert read_snapshot(path).updates == len(rows)


def test_a_restored_month_is_the_same_state(tmp_path: Path) -> None:
    table = simulate(customers=40, terminals=80, days=60, seed=5)
    transactions, is_fraud = list(transactions_of(table)), table.is_fraud.tolist()
    half = len(table) * 2 // 3
    state = FeatureState(max_jump=timedelta(days=3))
    feed(state, transactions[:half], is_fraud[:half])
    write_snapshot(tmp_path / "state", state)
    restored = read_snapshot(tmp_path / "state")
    assert restored.max_jump == timedelta(days=3)
    for transaction in transactions[half:]:
        assert restored.update(transaction).tobytes() == state.update(transaction).tobytes()
    write_snapshot(tmp_path / "went on", state)
    write_snapshot(tmp_path / "restored", restored)
    assert (tmp_path / "went on").read_bytes() == (tmp_path / "restored").read_bytes()


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    state = FeatureState()
    for number in range(80):
        state.update(one(number, days=number, terminal_id=f"terminal {number % 3}"))
    state.label(one(79, days=79, terminal_id="terminal 1"), True)
    path = tmp_path / "state"
    write_snapshot(path, state)
    return path


def test_a_flipped_bit_anywhere_is_refused(snapshot: Path) -> None:
    content = snapshot.read_bytes()
    for position in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[position] ^= 1
        snapshot.write_bytes(bytes(damaged))
        with pytest.raises(UserError, match=r"damaged|no snapshot|version"):
            read_snapshot(snapshot)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.999])
def test_a_truncated_file_is_refused(snapshot: Path, share: float) -> None:
    content = snapshot.read_bytes()
    snapshot.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=r"damaged|no snapshot"):
        read_snapshot(snapshot)


def test_other_files_are_refused_with_what_to_do(snapshot: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing cannot be read: No such file or directory; give a file"):
        read_snapshot(tmp_path / "nothing")
    newer = snapshot.read_bytes().replace(b'"version": 1', b'"version": 2', 1)
    snapshot.write_bytes(newer)
    with pytest.raises(UserError, match="version 2 of the format, and this release reads 1"):
        read_snapshot(snapshot)
    with pytest.raises(UserError, match="cannot be written: No such file or directory"):
        write_snapshot(tmp_path / "no folder" / "state", FeatureState())


WRITER = """
import sys
from pathlib import Path
from shared.model.features.state_snapshot import read_snapshot, write_snapshot
path = Path(sys.argv[1])
state = read_snapshot(path)
print("writing", flush=True)
while True:
    state.updates += 1
    write_snapshot(path, state)
"""


def test_a_crash_while_writing_leaves_a_whole_snapshot(snapshot: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    seen = read_snapshot(snapshot).updates
    for attempt in range(6):
        command = [sys.executable, "-c", WRITER, str(snapshot)]
        with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"writing\n"
            before = snapshot.stat().st_ino
            while snapshot.stat().st_ino == before:
                time.sleep(0.001)
            time.sleep(attempt / 500)  # a new point of the next write each time
            writer.send_signal(signal.SIGKILL)
        restored = read_snapshot(snapshot)
        assert restored.updates > seen
        seen = restored.updates
    write_snapshot(snapshot, restored)
    assert list(snapshot.parent.iterdir()) == [snapshot]
