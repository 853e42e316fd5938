"""The GitHub workflow says what it does in terms that exist: make's targets, the Pythons of pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import tomllib
from typing import Any

import yaml

from tests.release.conftest import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())
    return found


def steps() -> list[dict[str, str]]:
    return [step for job in workflow()["jobs"].values() for step in job["steps"]]


def test_it_runs_what_ci_runs_on_every_supported_python() -> None:
    job = workflow()["jobs"]["test"]
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    matrix = {entry["python"]: entry["optional"] for entry in job["strategy"]["matrix"]["include"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = project["requires-python"].removeprefix(">=")
    classified = [c.rpartition(" ")[2] for c in project["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert oldest in matrix
    assert not any(matrix[version] for version in classified), "what is declared must pass"
    assert {version for version, optional in matrix.items() if not optional} >= set(classified)


def test_the_make_targets_exist() -> None:
    targets = {
        target for step in steps() for target in re.findall(r"^make ([a-z-]+)", step.get("run", ""), re.MULTILINE)
    }
    assert targets >= {"dist", "images", "model"}
    for target in targets:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_it_may_read_and_nothing_else() -> None:
    assert workflow()["permissions"] == {"contents": "read"}
    for step in steps():
        action = step.get("uses")
        if action is not None:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", action), "GitHub's own, by their major version"
        if str(action).startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}
