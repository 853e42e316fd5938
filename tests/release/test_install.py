"""The wheel in an empty environment, with the locked versions: `twinscore` works there, and serves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from shared import __version__
from shared.reliability.ports import free_port
from tests.conftest import ROOT
from tests.release.conftest import Built


@pytest.fixture(scope="module")
def twinscore(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command, installed with the FastAPI profile; the project's own folder is out of its sight."""
    uv = shutil.which("uv", path=sysconfig.get_path("scripts"))
    assert uv is not None, "uv is among the development dependencies"
    environment = tmp_path_factory.mktemp("empty") / "venv"
    python = environment / "bin" / "python"
    subprocess.run([uv, "venv", "-q", "-p", sys.executable, str(environment)], check=True)
    wanted = f"twinscore[fastapi,otlp] @ {built.wheel.as_uri()}"
    command = [uv, "pip", "install", "-q", "-p", str(python), wanted, "-c", str(ROOT / "requirements" / "fastapi.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    subprocess.run([uv, "pip", "check", "-q", "-p", str(python)], check=True)
    return environment / "bin" / "twinscore"


def run(twinscore: Path, folder: Path, *arguments: str) -> str:
    """Its standard output, run in `folder` with none of the caller's settings."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("TWINSCORE_", "PYTHONPATH"))}
    done = subprocess.run(
        [str(twinscore), *arguments], cwd=folder, env=clean, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_command_tells_its_version_its_commands_and_its_settings(twinscore: Path, tmp_path: Path) -> None:
    assert __version__ in run(twinscore, tmp_path, "--version").split()
    assert "serve" in run(twinscore, tmp_path, "--help")
    assert "TWINSCORE_DRAIN_SECONDS" in run(twinscore, tmp_path, "settings")
    assert not list(tmp_path.iterdir())


def test_only_the_locked_versions_are_installed(twinscore: Path) -> None:
    lock = (ROOT / "requirements" / "fastapi.txt").read_text()
    script = "import importlib.metadata as m; print(*(d.name + '==' + d.version for d in m.distributions()), sep='\\n')"
    python = twinscore.parent / "python"
    told = subprocess.run([str(python), "-I", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    ours = f"twinscore=={__version__}"
    assert ours in told
    for line in told:
        name, _, version = line.partition("==")
        assert line == ours or f"{name.lower().replace('_', '-').replace('.', '-')}=={version} " in lock, line


def test_the_installed_service_keeps_the_contract(twinscore: Path, tmp_path: Path, default_model: Path) -> None:
    """`twinscore serve` and `twinscore verify` of the wheel against each other, in an empty folder."""
    port = free_port()
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("TWINSCORE_", "PYTHONPATH"))}
    command = [str(twinscore), "serve", "fastapi", "--port", str(port), "--model", str(default_model), "--smoke"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=clean | {"TWINSCORE_DRAIN_SECONDS": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as serving:
        try:
            assert serving.stdout is not None
            assert "-> 200" in serving.stdout.readline(), "the smoke test is said once the service is ready"
            run(twinscore, tmp_path, "verify", f"http://127.0.0.1:{port}", "--model", str(default_model))
        finally:
            serving.terminate()
            assert serving.wait(60) == 0
