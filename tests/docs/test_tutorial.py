"""The tutorial, typed from top to bottom in a copy of the project that has no model yet."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.markdown import Block
from tests.docs.terminal import Terminal, follow, page

PORTS = (8001, 3001, 3004, 8005, 3005)
IMAGES = "Both images"
LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv*", "models", "build", "dist", ".cache", ".*_cache", "__pycache__", ".hypothesis", "*.parquet")
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone has, with the environment that `make setup` makes."""
    folder = tmp_path_factory.mktemp("tutorial") / "twinscore"
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


@pytest.fixture(scope="module")
def terminal(clone: Path) -> Iterator[Terminal]:
    replaced = {
        # The images of nobody else are touched, and a network of its own is not to be had on every machine.
        "make images": "REPOSITORY=twinscore-tutorial/ NETWORK=host make images",
        **{
            f"-p {port}:{inside} twinscore-": f"--network host -e TWINSCORE_PORT={port} twinscore-tutorial/twinscore-"
            for port, inside in ((8005, 8000), (3005, 3000))
        },
    }
    with Terminal(clone, clone.parent, ports=PORTS, replaced=replaced) as opened:
        yield opened


def part(images: bool) -> list[Block]:
    return [block for block in page("your-own-model.md") if (block.section == IMAGES) == images]


def test_from_a_joblib_file_to_a_bento(terminal: Terminal, clone: Path) -> None:
    *before, back = part(images=False)
    printed = follow(terminal, before)
    answers = [line for output in printed.values() for line in output.splitlines() if '"probability"' in line]
    # FastAPI, BentoML and the Bento: the same bytes.
    assert len(answers) == 3
    assert len(set(answers)) == 1
    assert (clone / "models" / "xgb_fraud" / "2.0.0").is_dir()
    terminal.stop_all()
    terminal.run(back)
    assert not (clone / "models" / "xgb_fraud" / "2.0.0").exists()


@pytest.mark.timeout(1800)
def test_both_images_serve_the_model(terminal: Terminal, clone: Path) -> None:
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    answer = subprocess.run(["docker", "version"], capture_output=True, text=True, timeout=30, check=False)
    if answer.returncode:
        pytest.skip(f"no container engine answers: {answer.stderr.strip()}")
    needed = [block for block in part(images=False) if block.section in ("The model", "A model package")]
    follow(terminal, needed)
    follow(terminal, part(images=True))
