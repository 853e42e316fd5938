"""A second version of a model: the same features and golden rows, half the trees, so that answers tell them apart."""

from __future__ import annotations

from pathlib import Path

from shared.model.compile import Contents, write_package
from shared.model.manifest import BOOSTER_FILE, Manifest, read_manifest
from shared.model.package import golden_rows
from shared.model.predictor import load_booster


def write_second_version(directory: Path, version: str, out: Path) -> Manifest:
    """Writes the package `out` from the one in `directory`, under its name and another version.

    Raises:
        UserError: see `write_package`.
    """
    manifest = read_manifest(directory)
    booster = load_booster((directory / BOOSTER_FILE).read_bytes())
    half = booster[: max(1, booster.num_boosted_rounds() // 2)]
    contents = Contents(features=manifest.features, golden_rows=golden_rows(manifest.golden))
    return write_package(bytes(half.save_raw("ubj")), contents, name=manifest.name, version=version, directory=out)
