"""`twinscore compare`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from shared.commands.processes import check_port
from shared.compare.target import Target, Variant, is_loopback, parse_target
from shared.contract.errors import UserError

PORT = 8080
OTLP_PORT = 4318
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--fastapi", "fastapi", default="http://127.0.0.1:8000", show_default=True, help="The FastAPI service.")
@click.option("--bento", "bento", default="http://127.0.0.1:3000", show_default=True, help="The BentoML service.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help="Port of the page.")
@click.option(
    "--otlp-port",
    type=click.IntRange(0, 65535),
    default=OTLP_PORT,
    show_default=True,
    help="Loopback port on which the services' traces are received; 0 receives none.",
)
@click.option("--serve", is_flag=True, help="Start both services too, tracing to this page, and stop them at the end.")
@click.option("--bench", type=FILE, help="Results to follow; unset: those `twinscore bench` writes by default.")
@click.option("--api-key", envvar="TWINSCORE_API_KEY", help="Or set TWINSCORE_API_KEY, which `ps` does not show.")
@click.option("--ca", type=FILE, help="CA certificates (PEM) to trust instead of the system's.")
def compare(
    fastapi: str,
    bento: str,
    host: str,
    port: int,
    otlp_port: int,
    serve: bool,
    bench: Path | None,
    api_key: str | None,
    ca: Path | None,
) -> None:
    """Serve a page that sends the same transaction to both services and shows the answers side by side.

    Answers, headers, times, traces and the batch each request rode in. It asks the two given services and no others.
    """
    authority = str(ca) if ca else None
    targets: dict[Variant, Target] = {
        "fastapi": parse_target("fastapi", fastapi, ca=authority, api_key=api_key),
        "bento": parse_target("bento", bento, ca=authority, api_key=api_key),
    }
    try:
        from shared.compare.run import Options, listen, run
    except ModuleNotFoundError as error:
        if error.name not in ("uvicorn", "httptools"):
            raise
        raise UserError(f"{error.name} is missing: install twinscore with the `fastapi` or the `bento` extra") from None
    from shared.compare.spans import load_decoder

    if serve:
        _check_startable(targets)
    decode = None
    if otlp_port:
        try:
            decode = load_decoder()
        except UserError as error:
            click.echo(str(error), err=True)
    page = listen(host, port, "--port")
    traces = listen("127.0.0.1", otlp_port, "--otlp-port (0: none)") if decode is not None else None
    if not is_loopback(host):
        click.echo(f"anyone who can reach {host}:{port} can send requests to both services", err=True)
    options = Options(targets, decode, frozenset({host}), serve, bench or _default_results())
    sys.exit(run(options, page, traces, lambda line: click.echo(line, err=True)))


def _check_startable(targets: Mapping[Variant, Target]) -> None:
    """Raises UserError if the services cannot be started under their URLs."""
    for variant, target in targets.items():
        if target.context is not None or target.prefix or not target.loopback:
            raise UserError(f"--serve starts services on this machine: --{variant} must be like http://127.0.0.1:8000")
        check_port(target.host, target.port, f"--{variant}, or leave --serve out")


def _default_results() -> Path | None:
    """Where `twinscore bench` writes; None without a checkout."""
    try:
        from benchmarks import CACHE
    except ModuleNotFoundError:
        return None
    return CACHE / "results.json"
