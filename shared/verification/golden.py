"""Golden vectors: what one model package must answer, from its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.contract.errors import UserError
from shared.contract.wire import MAX_BATCH_REQUEST_ROWS
from shared.verification.vectors import protocol_document

TOLERANCE = 2e-6
"""How far a predictor's probability may be from the packaged one, XGBoost's."""


def read_package(directory: Path) -> Mapping[str, Any]:
    """The manifest of a model package.

    Raises:
        UserError: the folder holds none, or one without golden rows.
    """
    path = directory / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        golden = manifest["golden"]
        if not golden["rows"] or len(golden["rows"]) != len(golden["probabilities"]):
            raise KeyError("golden")
        manifest["name"], manifest["version"], manifest["sha256"], manifest["features"][0]["name"]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; --model takes the folder of a model package") from None
    except (ValueError, KeyError, TypeError, IndexError):
        raise UserError(
            f"{path}: not a package's manifest with golden rows; check it with `twinscore models verify`"
        ) from None
    loaded: Mapping[str, Any] = manifest
    return loaded


def golden_document(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """A vector file: each golden row alone, all of them in batches, and the model card."""
    version = manifest["version"]
    rows: Sequence[Any] = manifest["golden"]["rows"]
    expected = [{"$close": {"to": value, "within": TOLERANCE}} for value in manifest["golden"]["probabilities"]]
    vectors = [_card(manifest)]
    for index, row in enumerate(rows):
        vectors.append(
            _vector(
                f"golden.row-{index}",
                f"Golden row {index} alone.",
                "/score",
                {"features": row},
                {"probability": expected[index], "model_version": version},
            )
        )
    for start in range(0, len(rows), MAX_BATCH_REQUEST_ROWS):
        stop = min(start + MAX_BATCH_REQUEST_ROWS, len(rows))
        vectors.append(
            _vector(
                f"golden.batch-{start}",
                f"Golden rows {start} to {stop - 1} in one batch, in their order.",
                "/score/batch",
                {"rows": rows[start:stop]},
                {"probabilities": expected[start:stop], "model_version": version},
            )
        )
    shared = protocol_document()
    return {
        "format": shared["format"],
        "level": "golden",
        "model": {key: manifest[key] for key in ("name", "version", "sha256")},
        "every_response": shared["every_response"],
        "problems": shared["problems"],
        "vectors": vectors,
    }


def _card(manifest: Mapping[str, Any]) -> dict[str, Any]:
    card = {key: manifest[key] for key in ("name", "version", "sha256", "created")}
    names = [{"$has": {"name": feature["name"]}} for feature in manifest["features"]]
    return {
        "id": "golden.card",
        "about": "The card of this package.",
        "request": {"method": "GET", "path": "/model"},
        "response": {"status": 200, "json": {"$has": {**card, "features": names}}},
    }


def _vector(identifier: str, about: str, path: str, body: Any, answer: Any) -> dict[str, Any]:
    headers = [["content-type", "application/json"]]
    return {
        "id": identifier,
        "about": about,
        "request": {"method": "POST", "path": path, "headers": headers, "body": [{"json": body}]},
        "response": {"status": 200, "headers": {"content-type": "application/json"}, "json": answer},
    }
