"""From nothing to features with the command line alone."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from shared.model.features.definition import FEATURE_NAMES
from tests.processes.test_serve import run_twinscore

SMALL = ("--days", "10", "--customers", "50", "--terminals", "100")


def test_a_simulated_table_has_features_and_the_same_seed_makes_the_same(tmp_path: Path) -> None:
    for name in ("one.parquet", "two.parquet", "three.csv"):
        done = run_twinscore("simulate", "--out", str(tmp_path / name), *SMALL)
        assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "one.parquet").equals(pq.read_table(tmp_path / "two.parquet"))
    for name in ("one.parquet", "three.csv"):
        out = tmp_path / f"{name}.features.parquet"
        done = run_twinscore("features", str(tmp_path / name), "--out", str(out))
        assert done.returncode == 0, done.stderr
    first, second = (pq.read_table(tmp_path / f"{n}.features.parquet") for n in ("one.parquet", "three.csv"))
    assert first.column_names == ["transaction_id", *FEATURE_NAMES]
    assert first.num_rows > 100
    assert first.equals(second)


def test_a_table_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    done = run_twinscore("simulate", "--out", str(tmp_path / "no" / "table.parquet"), *SMALL)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    done = run_twinscore("simulate", "--out", str(tmp_path / "table.xlsx"), *SMALL)
    assert done.returncode == 2
    assert ".parquet" in done.stderr
