"""A request leaves nothing behind that only the garbage collector could free."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, VARIANTS
from tests.processes.count_garbage import REQUESTS


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_request_leaves_no_cycle(variant: str, default_model: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TWINSCORE_", "OTEL_"))}
    environment |= {"TWINSCORE_MODEL": str(default_model), "BENTOML_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "tests.processes.count_garbage", variant]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    # What a timer or a thread leaves is no matter.
    assert sum(found.values()) < REQUESTS, found
