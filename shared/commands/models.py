"""`twinscore models`: look at model packages, check them, make sure there is one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.contract.errors import UserError
from shared.model.locate import DEFAULT_NAME, DEFAULT_ROOT, DEFAULT_VERSION, latest_package, packages
from shared.model.manifest import Manifest, read_manifest

PACKAGE = click.Path(path_type=Path, file_okay=False)


@click.group()
def models() -> None:
    """Model packages: list, show, verify."""


@models.command("list")
@click.option("--root", type=PACKAGE, default=DEFAULT_ROOT, show_default=True)
def list_packages(root: Path) -> None:
    """List the packages under a models folder."""
    table = Table("name", "version", "features", "backend", "AUC ROC", "created", "sha256", box=None, pad_edge=False)
    broken = []
    for directory in packages(root):
        try:
            manifest = read_manifest(directory)
        except UserError as error:
            broken.append(str(error))
            continue
        auc = manifest.evaluation.get("auc_roc")
        table.add_row(
            manifest.name,
            manifest.version,
            str(len(manifest.features)),
            manifest.backend,
            "-" if auc is None else f"{auc:.3f}",
            manifest.created,
            manifest.sha256[:12],
        )
    if not table.row_count and not broken:
        raise UserError(f"no model package under {root}: run `make model` or `twinscore train`")
    Console().print(table)
    if broken:
        raise UserError("; ".join(broken))


@models.command()
@click.argument("directory", type=PACKAGE, required=False)
def show(directory: Path | None) -> None:
    """Show one package: its features, its evaluation and its files. Default: the latest."""
    manifest = read_manifest(directory or latest_package())
    console = Console()
    console.print(f"[bold]{manifest.name} {manifest.version}[/bold]  created {manifest.created}")
    console.print(f"sha256 {manifest.sha256}", soft_wrap=True)
    console.print(f"backend {manifest.backend}, at most {manifest.deviations[manifest.backend]:.2g} from XGBoost")
    console.print(_evaluation(manifest))
    table = Table("#", "feature", "unit", "null", "observed", "description", box=None, pad_edge=False)
    for index, feature in enumerate(manifest.features):
        low, high = feature.observed_min, feature.observed_max
        observed = "-" if low is None or high is None else f"{low:g} to {high:g}"
        table.add_row(
            str(index),
            escape(feature.name),
            escape(feature.unit),
            "yes" if feature.nullable else "",
            observed,
            escape(feature.description),
        )
    console.print(table)


def _evaluation(manifest: Manifest) -> Table:
    table = Table("evaluation", "value", box=None, pad_edge=False)
    for name, value in manifest.evaluation.items():
        if isinstance(value, int | float | str):
            table.add_row(escape(name), f"{value:.4f}" if isinstance(value, float) else escape(str(value)))
    if manifest.decision_threshold is not None:
        table.add_row("decision threshold", f"{manifest.decision_threshold:.4f}")
    return table


@models.command()
@click.argument("directory", type=PACKAGE, required=False)
@click.option("--backend", help="Check with this predictor in place of the packaged default.")
def verify(directory: Path | None, backend: str | None) -> None:
    """Check every digest and score the golden rows. Default: the latest."""
    from shared.model.package import load_package

    package = load_package(directory or latest_package(), backend)
    click.echo(
        f"{package.manifest.name} {package.manifest.version}: {len(package.manifest.files)} files match their digests, "
        f"{len(package.golden_rows)} golden rows score as packaged with {package.predictor.backend}"
    )


@models.command()
@click.argument("directory", type=PACKAGE, required=False)
def store(directory: Path | None) -> None:
    """Copy a package into BentoML's model store. Default: the latest."""
    arguments = [sys.executable, "-m", "bento_service.store", str(directory or latest_package())]
    sys.exit(subprocess.run(arguments, check=False).returncode)


@models.command()
@click.pass_context
def ensure(ctx: click.Context) -> None:
    """Train and package the default model on simulated transactions, where there is no package yet."""
    from shared.commands.train import train

    if any(path.parent.name == DEFAULT_NAME for path in packages()):
        return
    ctx.invoke(train, name=DEFAULT_NAME, version=DEFAULT_VERSION)
