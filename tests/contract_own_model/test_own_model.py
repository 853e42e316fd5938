"""A user's own model, end to end: imported, then served by both variants without a line of code edited."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pytest
import xgboost

from shared.importing.trees import threshold_rows
from shared.model.package import TOLERANCE, load_package
from tests.conftest import ROOT, VARIANTS, running


@dataclass(frozen=True)
class Shape:
    """A model to bring: `options` are the classifier's."""

    features: int
    training_rows: int
    options: dict[str, Any]


SHAPES = {
    "7 features": Shape(7, 2000, {"n_estimators": 40, "max_depth": 4}),
    "300 features": Shape(300, 1500, {"n_estimators": 40, "max_depth": 4, "max_bin": 32}),
    # Small leaves, so that the trees really are as deep as they may be.
    "500 trees of depth 8": Shape(
        12, 4000, {"n_estimators": 500, "max_depth": 8, "min_child_weight": 0, "max_bin": 64, "learning_rate": 0.02}
    ),
    "served by xgboost itself": Shape(5, 800, {"n_estimators": 30, "booster": "dart", "rate_drop": 0.2}),
}


@dataclass(frozen=True)
class Brought:
    """An imported model, the object it was made from, and both services over it."""

    classifier: xgboost.XGBClassifier
    names: list[str]
    directory: Path
    clients: dict[str, httpx.Client]
    rows: np.ndarray
    """Shape (512, features): around the thresholds of the trees, with missing values."""

    @property
    def body(self) -> list[list[float | None]]:
        return [[None if np.isnan(value) else float(value) for value in row] for row in self.rows]

    @property
    def own(self) -> np.ndarray:
        return np.asarray(self.classifier.predict_proba(self.rows)[:, 1])


def fit(shape: Shape, names: list[str]) -> xgboost.XGBClassifier:
    rng = np.random.default_rng(shape.features)
    rows = rng.normal(size=(shape.training_rows, shape.features)) * rng.uniform(0.01, 1e4, shape.features)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    signal = np.nan_to_num(rows / np.nanstd(rows, axis=0))[:, :5].sum(axis=1)
    labels = (signal + rng.normal(size=len(rows)) > 2).astype(int)
    classifier = xgboost.XGBClassifier(n_jobs=1, **shape.options).fit(rows, labels)
    classifier.get_booster().feature_names = names
    return classifier


@pytest.fixture(scope="module", params=SHAPES.values(), ids=SHAPES)
def brought(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brought]:
    shape: Shape = request.param
    folder = tmp_path_factory.mktemp("own")
    names = [f"own_{index}" for index in range(shape.features)]
    classifier = fit(shape, names)
    joblib.dump(classifier, folder / "model.joblib")
    command = [sys.executable, "-m", "shared.cli", "import", str(folder / "model.joblib"), "--trust"]
    command += ["--name", "own", "--version", "3.1.4", "--out", str(folder / "models")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    directory = folder / "models" / "own" / "3.1.4"
    assert f"--model {directory}" in done.stdout
    rows = threshold_rows((directory / "model.ubj").read_bytes(), shape.features, 512, seed=42)
    with ExitStack() as stack:

        def start(variant: str) -> httpx.Client:
            server = stack.enter_context(running(variant, folder, "--model", str(directory)))
            return stack.enter_context(httpx.Client(base_url=server.url, timeout=30))

        with ThreadPoolExecutor(len(VARIANTS)) as pool:
            clients = dict(zip(VARIANTS, pool.map(start, VARIANTS), strict=True))
        yield Brought(classifier, names, directory, clients, rows)


def test_both_variants_answer_the_users_own_probabilities(brought: Brought) -> None:
    answers = {
        variant: client.post("/score/batch", json={"rows": brought.body}) for variant, client in brought.clients.items()
    }
    assert {answer.status_code for answer in answers.values()} == {200}
    assert len({answer.content for answer in answers.values()}) == 1
    body = answers[VARIANTS[0]].json()
    assert body["model_version"] == "3.1.4"
    probabilities = np.array(body["probabilities"])
    assert np.abs(probabilities - brought.own.astype(np.float64)).max() <= TOLERANCE
    packaged = load_package(brought.directory).predictor
    assert probabilities.astype(np.float32).tobytes() == packaged(brought.rows).tobytes()
    # A model that answers one number whatever it is asked would pass all of the above.
    assert np.ptp(probabilities) > 0.3


def test_a_row_has_the_same_bits_alone(brought: Brought) -> None:
    together = brought.clients[VARIANTS[0]].post("/score/batch", json={"rows": brought.body}).json()["probabilities"]
    for client in brought.clients.values():
        alone = [client.post("/score", json={"features": row}).json()["probability"] for row in brought.body[:40]]
        assert alone == together[:40]


def test_xgboosts_own_probabilities_are_packaged_to_the_bit(brought: Brought) -> None:
    assert load_package(brought.directory, "xgboost").predictor(brought.rows).tobytes() == brought.own.tobytes()


def test_the_card_lists_the_models_features(brought: Brought) -> None:
    cards = {variant: client.get("/model").content for variant, client in brought.clients.items()}
    assert len(set(cards.values())) == 1
    card = json.loads(cards[VARIANTS[0]])
    assert (card["name"], card["version"]) == ("own", "3.1.4")
    assert [feature["name"] for feature in card["features"]] == brought.names
    dart = brought.classifier.booster == "dart"
    assert card["backend"] == ("xgboost" if dart else "onnxruntime")


def test_rows_of_another_length_are_refused_alike(brought: Brought) -> None:
    count = len(brought.names)
    for wrong in (count - 1, count + 1):
        for path, body in (("/score", {"features": [0] * wrong}), ("/score/batch", {"rows": [[0] * wrong]})):
            headers = {"x-request-id": "the-same"}
            answers = [client.post(path, json=body, headers=headers) for client in brought.clients.values()]
            assert {answer.status_code for answer in answers} == {422}
            assert len({answer.content for answer in answers}) == 1
            assert str(count) in answers[0].json()["errors"][0]["msg"]


def test_a_full_batch_of_long_numbers_fits(brought: Brought) -> None:
    """1,024 rows of numbers at their longest, 24 characters a value, stay within the default body limit."""
    row = [-1.2345678901234567e-300] * len(brought.names)
    for client in brought.clients.values():
        answer = client.post("/score/batch", json={"rows": [row] * 1024})
        assert answer.status_code == 200
        assert len(set(answer.json()["probabilities"])) == 1
