"""`twinscore serve fastapi|bento|both`.

Nothing heavy is imported here: the services start while this process has little to do, and what a setting or a file
gets wrong is told by the service, in one line, where it is read.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from shared.commands.extras import require
from shared.commands.processes import check_port
from shared.contract.errors import UserError
from shared.serving.supervisor import Child, Supervisor, local_url, tell
from shared.telemetry.multiprocess import DIRECTORY_VARIABLE, temporary_directory

PREFIX = "TWINSCORE_"
PORTS = {"fastapi": 8000, "bento": 3000}
MODULES = {"fastapi": ("fastapi", "uvicorn"), "bento": ("bentoml",)}
LABELS = {"fastapi": "FastAPI", "bento": "BentoML"}
MAX_PORT, PORT_DIGITS = 65535, 5
GRACE_SECONDS = 10.0
"""How long after the drain and the deadline a service may take to stop before it is killed."""


@click.command()
@click.argument("variant", type=click.Choice(["fastapi", "bento", "both"]))
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on, of one variant.")
@click.option("--fastapi-port", type=click.IntRange(1, 65535), help="With both: FastAPI's port, in place of 8000.")
@click.option("--bento-port", type=click.IntRange(1, 65535), help="With both: BentoML's port, in place of 3000.")
@click.option("--workers", type=click.IntRange(1, 256), help="Worker processes of each service.")
@click.option("--model", type=click.Path(path_type=Path), help="Folder of the model package to serve.")
@click.option("--smoke", is_flag=True, help="Score one transaction on each service once it is ready.")
def serve(
    variant: str,
    host: str | None,
    port: int | None,
    fastapi_port: int | None,
    bento_port: int | None,
    workers: int | None,
    model: Path | None,
    smoke: bool,
) -> None:
    """Run one variant, or both. Options win over TWINSCORE_* settings. Ctrl-C stops everything."""
    if variant == "both" and port is not None:
        raise UserError("--port goes with one variant: with both, --fastapi-port and --bento-port")
    if variant != "both" and (fastapi_port or bento_port):
        raise UserError(f"--fastapi-port and --bento-port go with both: give --port for {variant}")
    given = {"HOST": host, "PORT": port, "WORKERS": workers, "MODEL": model}
    options = {PREFIX + name: str(value) for name, value in given.items() if value is not None}
    variants = list(PORTS) if variant == "both" else [variant]
    for name in variants:
        require(name, *MODULES[name])
    if variant == "both" and model is None and not os.environ.get(f"{PREFIX}MODEL"):
        _check_any_model()
    host = host or os.environ.get(f"{PREFIX}HOST") or "127.0.0.1"
    scheme = "https" if os.environ.get(f"{PREFIX}TLS_CERT_FILE") else "http"
    both = {"fastapi": fastapi_port or PORTS["fastapi"], "bento": bento_port or PORTS["bento"]}
    if variant == "both" and both["fastapi"] == both["bento"]:
        raise UserError(f"both services cannot listen on {both['bento']}: give another --fastapi-port or --bento-port")
    with temporary_directory() as folder:
        children = []
        for name in variants:
            number = both[name] if variant == "both" else port or _port(PORTS[name])
            check_port(host, number, f"--{name}-port" if variant == "both" else "--port")
            environment = {**options, f"{PREFIX}PORT": str(number), DIRECTORY_VARIABLE: str(Path(folder) / name)}
            children.append(
                Child(
                    LABELS[name],
                    ["-m", f"{name}_service"],
                    environment,
                    local_url(scheme, host, number),
                    port=(host, number),
                )
            )

        def when_ready() -> None:
            for child in children:
                tell(f"{child.name} is ready on {child.url}")
                if smoke:
                    click.echo(_smoke(child, model))
            if smoke:
                tell("Press Ctrl-C to stop.")

        code = Supervisor(children, stop_seconds=_stop_seconds).run(when_ready)
    sys.exit(code)


def _check_any_model() -> None:
    """Told once here, where each of the two would tell it. Raises UserError."""
    if not any(Path("models").glob("xgb_fraud/*/manifest.json")):
        from shared.model.locate import latest_package

        latest_package()  # words the refusal


def _port(default: int) -> int:
    value = os.environ.get(f"{PREFIX}PORT") or str(default)
    if value.isascii() and value.isdigit() and len(value) <= PORT_DIGITS and int(value) <= MAX_PORT:
        return int(value) or default
    from shared.serving.settings import load_settings

    return load_settings().port or default  # words the refusal


def _stop_seconds() -> float:
    from shared.serving.settings import load_settings

    settings = load_settings()
    return settings.drain_seconds + settings.deadline_seconds + GRACE_SECONDS


def _smoke(child: Child, model: Path | None) -> str:
    """Scores the first golden row and returns the exchange as one line."""
    import httpx

    from shared.contract import routes
    from shared.model.locate import latest_package
    from shared.model.manifest import read_manifest
    from shared.serving.settings import load_settings

    manifest = read_manifest(model or load_settings().model or latest_package())
    body = {"features": manifest.golden.rows[0]}
    response = httpx.post(child.url + routes.SCORE, json=body, timeout=10, verify=False)
    return f"{child.name:8} POST {child.url}{routes.SCORE} -> {response.status_code} {response.text}"
