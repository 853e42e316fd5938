"""The example of docs/online-features.md, run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime

import httpx
import numpy as np
import pytest

from shared.model.features.state import FeatureState, Transaction
from shared.model.package import ModelPackage
from tests.conftest import ROOT, VARIANTS, StartServer

DEFAULT_URL = "http://127.0.0.1:8000"


def example() -> str:
    text = (ROOT / "docs" / "online-features.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def test_it_has_ten_lines_at_most() -> None:
    assert len([line for line in example().splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_prints_the_models_probability(variant: str, start_server: StartServer, package: ModelPackage) -> None:
    server = start_server(variant)
    code = example()
    assert code.count(DEFAULT_URL) == 1
    command = [sys.executable, "-c", code.replace(DEFAULT_URL, server.url)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    now = datetime(2026, 3, 14, 15, 9, 26)
    row = FeatureState().update(Transaction(1, now, "card 7", "shop 3", 57.16))
    answer = httpx.post(f"{server.url}/score", json={"features": [None if np.isnan(x) else float(x) for x in row]})
    assert float(result.stdout) == answer.json()["probability"]
    assert abs(float(result.stdout) - package.predictor(row[np.newaxis])[0]) <= 2e-6


def test_the_readme_shows_the_same() -> None:
    assert example() in (ROOT / "README.md").read_text(encoding="utf-8")
