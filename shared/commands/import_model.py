"""`twinscore import`: bring your own model."""

from __future__ import annotations

import time
from pathlib import Path

import click

from shared.commands.extras import require
from shared.commands.outputs import check_folder
from shared.model.locate import DEFAULT_ROOT

FILE = click.Path(path_type=Path)


@click.command("import")
@click.argument("model", type=FILE)
@click.option("--name", required=True, help="Name of the package: lower-case letters, digits and _.")
@click.option("--version", required=True, help="Semantic version of the package, such as 1.0.0.")
@click.option("--out", type=FILE, default=DEFAULT_ROOT, show_default=True, help="The models folder.")
@click.option(
    "--trust",
    is_flag=True,
    help="Allow reading a joblib or pickle file. Doing so runs whatever code its author put in it.",
)
@click.option(
    "--features",
    type=FILE,
    help="Feature names, one a line, in training order; or JSON: names, or objects with name, description, unit, nullable.",
)
@click.option(
    "--sample",
    type=FILE,
    help="CSV or Parquet with rows the model will see: the package checks itself with them and shows their ranges.",
)
def import_model(
    model: Path, name: str, version: str, out: Path, trust: bool, features: Path | None, sample: Path | None
) -> None:
    """Package a fitted XGBClassifier or Booster: MODEL is a joblib or pickle file, or .ubj or .json.

    It must be a binary:logistic model of trees on numbers, with NaN as its missing value. A base_margin given at
    prediction time has no place in a request. What cannot be served exactly is refused with the reason.
    """
    require("train", "joblib", "onnxmltools", "sklearn")
    check_folder("--out", out / name)
    from shared.importing.package import import_file

    started = time.perf_counter()

    def tell(message: str) -> None:
        click.echo(f"{time.perf_counter() - started:6.1f} s  {message}", err=True)

    imported = import_file(
        model, name=name, version=version, out=out, trust=trust, features=features, sample=sample, tell=tell
    )
    candidate, manifest = imported.candidate, imported.manifest
    if candidate.note:
        tell(candidate.note)
    tell(f"XGBoost gives your {candidate.kind}'s own bits on {imported.probes} rows")
    size = sum(file.size for file in manifest.files.values()) / 1e6
    tell(
        f"backend {manifest.backend}, at most {manifest.deviations[manifest.backend]:.2g} from XGBoost; "
        f"{len(manifest.features)} features, {size:.1f} MB"
    )
    click.echo(f"{imported.directory} is written. Serve it: twinscore serve both --model {imported.directory}")
