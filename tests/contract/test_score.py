"""Rows in, probabilities out: the same bits from every service and from the packaged predictor."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from shared.model.package import ModelPackage, load_package


def body(rows: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(value) else float(value) for value in row] for row in rows]


@pytest.fixture(scope="module")
def rows(package: ModelPackage) -> np.ndarray:
    """Shape (400, features): golden rows, and rows around the observed ranges with missing values."""
    rng = np.random.default_rng(7)
    golden = package.golden_rows
    spread = np.nanstd(golden, axis=0) + 1
    noisy = golden[rng.integers(len(golden), size=400 - len(golden[:100]))]
    noisy = (noisy + rng.normal(size=noisy.shape) * spread).astype(np.float32)
    noisy[rng.random(noisy.shape) < 0.1] = np.nan
    return np.concatenate([golden[:100], noisy])


def test_a_single_row_has_the_packaged_predictors_bits(
    client: httpx.Client, package: ModelPackage, rows: np.ndarray
) -> None:
    packaged = load_package(package.directory).predictor
    answers = [client.post("/score", json={"features": row}) for row in body(rows)]
    assert {answer.status_code for answer in answers} == {200}
    probabilities = np.array([answer.json()["probability"] for answer in answers], dtype=np.float32)
    assert probabilities.tobytes() == packaged(rows).tobytes()
    assert {answer.json()["model_version"] for answer in answers} == {package.manifest.version}


def test_probabilities_are_xgboosts(client: httpx.Client, package: ModelPackage, rows: np.ndarray) -> None:
    answer = client.post("/score/batch", json={"rows": body(rows)}).json()
    difference = np.abs(np.array(answer["probabilities"]) - package.predictor(rows).astype(np.float64))
    assert difference.max() <= 2e-6


def test_a_batch_has_the_bits_of_its_rows(client: httpx.Client, rows: np.ndarray) -> None:
    alone = [client.post("/score", json={"features": row}).json()["probability"] for row in body(rows[:50])]
    for size in (1, 2, 33, 50):
        together = client.post("/score/batch", json={"rows": body(rows[:size])}).json()["probabilities"]
        assert together == alone[:size]


def test_concurrent_rows_keep_to_their_requests(client: httpx.Client, rows: np.ndarray) -> None:
    bodies = body(rows[:64])
    alone = [client.post("/score", json={"features": row}).json() for row in bodies]
    with ThreadPoolExecutor(64) as pool:
        together = list(pool.map(lambda row: client.post("/score", json={"features": row}).json(), bodies))
    assert together == alone


def test_the_answer_is_two_members_of_compact_json(client: httpx.Client, rows: np.ndarray) -> None:
    answer = client.post("/score", json={"features": body(rows[:1])[0]})
    assert answer.headers["content-type"] == "application/json"
    assert list(json.loads(answer.content)) == ["probability", "model_version"]
    assert b" " not in answer.content


def test_the_model_card_names_what_is_served(client: httpx.Client, package: ModelPackage) -> None:
    card = client.get("/model").json()
    packaged = load_package(package.directory)
    assert card == packaged.card.model_dump(mode="json")
    assert len(card["features"]) == len(package.manifest.features)


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/readyz"])
def test_probes_answer(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200
    head = client.head(path)
    assert head.status_code == 200
    assert head.content == b""
