"""`twinscore verify`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from shared.contract.errors import UserError
from shared.verification.client import parse_target
from shared.verification.discovery import feature_count
from shared.verification.golden import golden_document, read_package
from shared.verification.report import print_report, write_junit
from shared.verification.runner import Result, Runner
from shared.verification.templates import default_variables
from shared.verification.vectors import VectorSet, parse_vectors, protocol_vectors

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("url")
@click.option(
    "--model",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the model package that is served: its golden rows are asked too.",
)
@click.option("--api-key", envvar="TWINSCORE_API_KEY", help="Sent as a bearer token; or TWINSCORE_API_KEY.")
@click.option("--ca", type=FILE, help="CA certificates (PEM) to trust instead of the system's.")
@click.option("--insecure", is_flag=True, help="Accept any certificate.")
@click.option("--max-body-bytes", type=click.IntRange(1), help="The service's body limit, if not the default.")
@click.option("--only", help="Ask only the vectors whose id starts so, such as `batch.`")
@click.option("--junit", type=FILE, help="Write the results as JUnit XML, too.")
@click.option("--write-golden", type=FILE, help="Write the golden vectors of --model to a file, too.")
@click.option("--timeout", type=click.FloatRange(0.1), default=30.0, show_default=True, help="Seconds.")
def verify(
    url: str,
    model: Path | None,
    api_key: str | None,
    ca: Path | None,
    insecure: bool,
    max_body_bytes: int | None,
    only: str | None,
    junit: Path | None,
    write_golden: Path | None,
    timeout: float,
) -> None:
    """Check the service at URL against the contract. Exits 1 if it differs, 2 if it cannot be asked."""
    if write_golden is not None and model is None:
        raise UserError("--write-golden needs --model: golden vectors come from a package")
    if api_key and not (api_key.isascii() and api_key.isprintable()):
        raise UserError("--api-key: an API key is printable ASCII text")
    headers = [("authorization", f"Bearer {api_key}")] if api_key else []
    target = parse_target(url, ca=str(ca) if ca else None, insecure=insecure, timeout=timeout, headers=headers)
    sets: list[VectorSet] = [protocol_vectors()]
    if model is not None:
        document = golden_document(read_package(model))
        sets.append(parse_vectors(document))
        if write_golden is not None:
            _write(write_golden, json.dumps(document, indent=1) + "\n")
    variables = dict(default_variables(feature_count(target)))
    if max_body_bytes is not None:
        variables["max_body_bytes"] = max_body_bytes
    capabilities = ["api-key"] if api_key else []
    sets = [vectors.starting_with(only or "") for vectors in sets]
    if not any(vectors.vectors for vectors in sets):
        raise UserError(f"no vector's id starts with {only}")

    console = Console(stderr=True)
    results: list[Result] = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("asking", total=sum(len(vectors.vectors) for vectors in sets))
        for vectors in sets:
            runner = Runner(target, vectors, variables, capabilities)
            results += runner.run(lambda result: progress.advance(task))
    if junit is not None:
        write_junit(junit, url, results)
    print_report(Console(soft_wrap=True), url, results)
    if model is None:
        console.print("Golden rows were not asked: give the package that is served with --model.")
    sys.exit(0 if all(not result.differences for result in results) else 1)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
