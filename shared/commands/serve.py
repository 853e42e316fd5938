"""`twinscore serve fastapi|bento|both`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import click

from shared.commands.processes import ServiceCommand, Services, check_port
from shared.contract import routes
from shared.contract.errors import UserError
from shared.model.files import read_files
from shared.model.locate import DEFAULT_NAME, latest_package
from shared.model.manifest import Manifest, read_manifest
from shared.serving.settings import PREFIX, Settings, load_settings

FASTAPI_PORT = 8000
BENTO_PORT = 3000
GRACE_SECONDS = 10.0
"""How long after the drain and the deadline a service may take to stop before it is killed."""


@click.command()
@click.argument("variant", type=click.Choice(["fastapi", "bento", "both"]))
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on (not with both: 8000 and 3000).")
@click.option("--workers", type=click.IntRange(1, 256), help="Worker processes of each service.")
@click.option("--model", type=click.Path(path_type=Path), help="Folder of the model package to serve.")
@click.option("--smoke", is_flag=True, help="Score one transaction on each service once it is ready.")
def serve(
    variant: str, host: str | None, port: int | None, workers: int | None, model: Path | None, smoke: bool
) -> None:
    """Run one variant, or both. Options win over TWINSCORE_* settings. Ctrl-C stops everything."""
    if variant == "both" and port is not None:
        raise UserError("--port goes with one variant: `serve both` keeps ports 8000 and 3000")
    settings = load_settings(host=host, port=port, workers=workers, model=model)
    if settings.batcher == "native" and variant != "bento":
        raise UserError("TWINSCORE_BATCHER=native: that is BentoML's own dispatcher; FastAPI has eager and off")
    settings.api_keys()
    if settings.backend is not None:
        # Only here: it brings numpy, which the supervisor has no other use for.
        from shared.model.predictor import check_backend

        check_backend(settings.backend)
    manifest = _manifest(settings, variant)
    commands = []
    if variant in ("fastapi", "both"):
        commands.append(_fastapi(settings, FASTAPI_PORT if variant == "both" else settings.port or FASTAPI_PORT))
    if variant in ("bento", "both"):
        commands.append(_bento(settings, BENTO_PORT if variant == "both" else settings.port or BENTO_PORT))
    for command in commands:
        check_port(settings.host, int(command.url.rpartition(":")[2]), "--port")

    def when_ready() -> None:
        for command in commands:
            click.echo(f"{command.name} is ready on {command.url}", err=True)
            if smoke and manifest is not None:
                click.echo(_smoke(command, manifest))
        if smoke:
            click.echo("Press Ctrl-C to stop.", err=True)

    stop_seconds = settings.drain_seconds + settings.deadline_seconds + GRACE_SECONDS
    with tempfile.TemporaryDirectory(prefix="twinscore-metrics-") as folder:
        code = Services(commands, stop_seconds=stop_seconds, metrics=Path(folder)).run(when_ready)
    sys.exit(code)


def _manifest(settings: Settings, variant: str) -> Manifest | None:
    """The package to be served, read before anything starts so that a bad one is refused in one line."""
    try:
        directory = settings.model or latest_package()
    except UserError:
        if variant == "bento" and (_bentoml_store() / DEFAULT_NAME).is_dir():
            return None  # BentoML serves the one in its store
        raise
    manifest = read_manifest(directory)
    read_files(directory, manifest)
    return manifest


def _environment(settings: Settings) -> dict[str, str]:
    """The settings that options may have changed, for the child to read."""
    values = {"HOST": settings.host, "WORKERS": settings.workers, "MODEL": settings.model}
    return {PREFIX + name: str(value) for name, value in values.items() if value is not None}


def _url(settings: Settings, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _fastapi(settings: Settings, port: int) -> ServiceCommand:
    arguments = ["-m", "uvicorn", "--factory", "fastapi_service.app:create_app"]
    arguments += ["--host", settings.host, "--port", str(port), "--workers", str(settings.workers)]
    arguments += ["--no-access-log", "--no-server-header", "--no-proxy-headers", "--log-level", "warning"]
    return ServiceCommand("FastAPI", arguments, _environment(settings), _url(settings, port))


def _bento(settings: Settings, port: int) -> ServiceCommand:
    if settings.model is None:
        _store_latest()
    arguments = ["-m", "bentoml", "serve", "bento_service.service:FraudDetector", "--host", settings.host]
    arguments += ["--port", str(port)]
    environment = _environment(settings)
    environment.setdefault("BENTOML_DO_NOT_TRACK", "True")
    return ServiceCommand("BentoML", arguments, environment, _url(settings, port))


def _bentoml_store() -> Path:
    return Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml") / "models"


def _store_latest() -> None:
    """Sees to it that the latest package under models/, if there is any, is in BentoML's store."""
    try:
        directory = latest_package()
    except UserError:
        return
    manifest = read_manifest(directory)
    try:
        # Looked up without BentoML, whose import takes two seconds.
        if read_manifest(_bentoml_store() / manifest.name / manifest.version).sha256 == manifest.sha256:
            return
    except UserError:
        pass
    done = subprocess.run([sys.executable, "-m", "bento_service.store", str(directory)], check=False)
    if done.returncode:
        raise UserError(f"{directory} could not be copied into BentoML's model store: see above")


def _smoke(command: ServiceCommand, manifest: Manifest) -> str:
    """Scores the first golden row and returns the exchange as one line."""
    body = json.dumps({"features": manifest.golden.rows[0]}).encode()
    request = urllib.request.Request(
        command.url + routes.SCORE, data=body, headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return f"{command.name:8} POST {command.url}{routes.SCORE} -> {response.status} {response.read().decode()}"
