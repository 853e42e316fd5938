"""The manifest of a model package: what the model is, what its files must hash to, and how to check it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.contract.errors import UserError
from shared.contract.example import Example
from shared.contract.wire import FeatureCard, ModelCard

MANIFEST_FILE = "manifest.json"
BOOSTER_FILE = "model.ubj"
ONNX_FILE = "model.onnx"

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
VERSION_PATTERN = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9a-z-]+(\.[0-9a-z-]+)*)?$"


class FileDigest(BaseModel):
    """A file of the package."""

    model_config = ConfigDict(extra="forbid")

    sha256: str
    size: int = Field(description="Bytes.")


class Histogram(BaseModel):
    """Scores of the training rows: `counts[i]` lie in (edges[i], edges[i + 1]]."""

    model_config = ConfigDict(extra="forbid")

    edges: list[float]
    counts: list[int]


class Golden(BaseModel):
    """Rows with the probabilities that XGBoost gave them when the package was written; null is a missing value."""

    model_config = ConfigDict(extra="forbid")

    rows: list[list[float | None]]
    probabilities: list[float]

    @model_validator(mode="after")
    def _same_length(self) -> Golden:
        if len(self.rows) != len(self.probabilities) or not self.rows:
            raise ValueError("as many probabilities as rows, at least one")
        return self


class Manifest(BaseModel):
    """`manifest.json`. `sha256` is the digest of everything else in it, and so of every file it lists."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    format: Literal[1] = 1
    name: str = Field(pattern=NAME_PATTERN)
    version: str = Field(pattern=VERSION_PATTERN)
    created: str
    features: list[FeatureCard] = Field(min_length=1)
    backend: str = Field(description="The predictor that serves unless a setting says otherwise.")
    deviations: dict[str, float] = Field(description="Per backend: largest difference from XGBoost's probability.")
    files: dict[str, FileDigest]
    libraries: dict[str, str]
    evaluation: dict[str, Any] = Field(default_factory=dict)
    decision_threshold: float | None = None
    score_distribution: Histogram | None = None
    golden: Golden
    sha256: str = ""

    @property
    def feature_names(self) -> list[str]:
        return [feature.name for feature in self.features]

    @property
    def example(self) -> Example:
        """The golden row of the middle score, for documents."""
        order = sorted(range(len(self.golden.rows)), key=self.golden.probabilities.__getitem__)
        middle = order[len(order) // 2]
        return Example(self.golden.rows[middle], self.golden.probabilities[middle], self.version)

    def digest(self) -> str:
        content = self.model_dump(mode="json", exclude={"sha256"})
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def card(self, backend: str) -> ModelCard:
        """The body of `GET /model`, for the backend in use."""
        return ModelCard(
            name=self.name,
            version=self.version,
            sha256=self.sha256,
            backend=backend,
            largest_deviation=self.deviations[backend],
            created=self.created,
            features=self.features,
            evaluation=self.evaluation,
            decision_threshold=self.decision_threshold,
        )


def check_identity(name: str, version: str) -> None:
    """Raises UserError unless `name` and `version` can name a package on disk, in a store and in an image tag."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise UserError(f"model name {name!r}: use lower-case letters, digits and _, starting with a letter")
    if not re.fullmatch(VERSION_PATTERN, version):
        raise UserError(f"model version {version!r}: use a semantic version such as 1.0.0")


def read_manifest(directory: Path) -> Manifest:
    """Reads and checks `manifest.json`; the files it lists are checked by `load_package`.

    Raises:
        UserError: the folder holds no manifest, or a damaged, changed or foreign one.
    """
    path = directory / MANIFEST_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{directory} is not a model package: {MANIFEST_FILE} cannot be read ({error.strerror}); "
            "train one with `twinscore train` or point TWINSCORE_MODEL at one"
        ) from None
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise UserError(f"{path} is damaged or not a manifest: {where}: {first['msg']}") from None
    if manifest.digest() != manifest.sha256:
        raise UserError(f"{path} was changed after it was written: its digest does not match; package the model again")
    return manifest
