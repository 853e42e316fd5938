"""A package is written whole, loads to the bit, and is refused by name when anything about it is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from shared.contract.errors import UserError
from shared.contract.wire import FeatureCard
from shared.model.compile import Contents, write_package
from shared.model.locate import latest_package, version_key
from shared.model.manifest import read_manifest
from shared.model.package import TOLERANCE, load_package
from shared.model.predictor import XgboostPredictor

N_FEATURES = 5


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(3000, N_FEATURES)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return rows


@pytest.fixture(scope="module")
def booster(rows: np.ndarray) -> bytes:
    import xgboost

    target = (np.nan_to_num(rows[:, 0]) + np.nan_to_num(rows[:, 1]) > 0.5).astype(int)
    data = xgboost.DMatrix(rows, label=target, feature_names=[f"feature {i}" for i in range(N_FEATURES)])
    model = xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, data, 40)
    return bytes(model.save_raw("ubj"))


def contents(rows: np.ndarray) -> Contents:
    card = FeatureCard(name="", description="", unit="", nullable=True, observed_min=-4, observed_max=4)
    cards = [card.model_copy(update={"name": f"feature {i}"}) for i in range(N_FEATURES)]
    return Contents(features=cards, golden_rows=rows[:50])


@pytest.fixture
def packaged(booster: bytes, rows: np.ndarray, tmp_path: Path) -> Path:
    directory = tmp_path / "models" / "tiny" / "1.2.3"
    write_package(booster, contents(rows), name="tiny", version="1.2.3", directory=directory)
    return directory


def rewrite(directory: Path, **changes: object) -> None:
    """Changes the manifest and makes its digest right again, as someone who means it would."""
    path = directory / "manifest.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content))
    from shared.model.manifest import Manifest

    digest = Manifest.model_validate(content).digest()
    path.write_text(json.dumps(content | {"sha256": digest}))


@pytest.mark.parametrize("backend", [None, "xgboost", "onnxruntime"])
def test_every_predictor_is_within_the_tolerance_of_xgboost(
    packaged: Path, booster: bytes, rows: np.ndarray, backend: str | None
) -> None:
    predictor = load_package(packaged, backend).predictor
    difference = np.abs(predictor(rows).astype(np.float64) - XgboostPredictor(booster)(rows))
    assert difference.max() <= TOLERANCE


def test_a_row_has_the_same_bits_in_every_batch(packaged: Path, rows: np.ndarray) -> None:
    predictor = load_package(packaged).predictor
    whole = predictor(rows[:257])
    for size in (1, 2, 3, 16, 64, 128, 256):
        parts = [predictor(rows[start : start + size]) for start in range(0, 257, size)]
        assert np.concatenate(parts)[:257].tobytes() == whole.tobytes()


def test_the_default_predictor_is_the_faster_one_and_its_deviation_stands_in_the_card(packaged: Path) -> None:
    card = load_package(packaged).card
    assert card.backend == "onnxruntime"
    assert 0 <= card.largest_deviation <= TOLERANCE


def test_an_unknown_backend_is_refused(packaged: Path) -> None:
    with pytest.raises(UserError, match="use onnxruntime, xgboost or cuda"):
        load_package(packaged, "tpu")


@pytest.mark.parametrize("name", ["model.ubj", "model.onnx"])
def test_a_changed_byte_is_found(packaged: Path, name: str) -> None:
    data = bytearray((packaged / name).read_bytes())
    data[len(data) // 2] ^= 1
    (packaged / name).write_bytes(data)
    with pytest.raises(UserError, match=rf"{name} does not match its digest"):
        load_package(packaged)


@pytest.mark.parametrize("name", ["model.ubj", "model.onnx"])
def test_a_truncated_file_is_found(packaged: Path, name: str) -> None:
    (packaged / name).write_bytes((packaged / name).read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"{name} has \d+ bytes"):
        load_package(packaged)


@pytest.mark.parametrize("name", ["model.ubj", "model.onnx", "manifest.json"])
def test_a_missing_file_is_named(packaged: Path, name: str) -> None:
    (packaged / name).unlink()
    with pytest.raises(UserError, match=name):
        load_package(packaged)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "tiny"}', "\x00"])
def test_a_foreign_manifest_is_refused(packaged: Path, text: str) -> None:
    (packaged / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json is damaged or not a manifest"):
        load_package(packaged)


def test_an_edited_manifest_is_refused(packaged: Path) -> None:
    path = packaged / "manifest.json"
    path.write_text(path.read_text().replace('"decision_threshold": null', '"decision_threshold": 0.9'))
    with pytest.raises(UserError, match="was changed after it was written"):
        load_package(packaged)


def test_a_model_swapped_for_another_is_found_by_its_golden_rows(
    packaged: Path, rows: np.ndarray, tmp_path: Path
) -> None:
    import hashlib

    import xgboost

    data = xgboost.DMatrix(rows, label=(np.nan_to_num(rows[:, 2]) > 0).astype(int))
    other = bytes(xgboost.train({"objective": "binary:logistic"}, data, 3).save_raw("ubj"))
    (packaged / "model.ubj").write_bytes(other)
    files = json.loads((packaged / "manifest.json").read_text())["files"]
    files["model.ubj"] = {"sha256": hashlib.sha256(other).hexdigest(), "size": len(other)}
    rewrite(packaged, files=files)
    with pytest.raises(UserError, match="not the one that was packaged"):
        load_package(packaged, "xgboost")


def test_a_file_outside_the_package_is_not_read(packaged: Path) -> None:
    files = json.loads((packaged / "manifest.json").read_text())["files"]
    rewrite(packaged, files=files | {"../../secret": files["model.ubj"]})
    with pytest.raises(UserError, match="which is not a file name"):
        load_package(packaged)


def test_a_package_is_never_overwritten(packaged: Path, booster: bytes, rows: np.ndarray) -> None:
    before = read_manifest(packaged).sha256
    with pytest.raises(UserError, match="exists already"):
        write_package(booster, contents(rows), name="tiny", version="1.2.3", directory=packaged)
    assert read_manifest(packaged).sha256 == before


def test_a_model_that_cannot_be_packaged_leaves_nothing_behind(rows: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever XGBoost says of it
        write_package(b"no model", contents(rows), name="tiny", version="1.0.0", directory=tmp_path / "t" / "1.0.0")
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.parametrize(("name", "version"), [("Tiny", "1.0.0"), ("../x", "1.0.0"), ("t", "1.0"), ("t", "v1.0.0")])
def test_names_and_versions_must_fit_stores_and_tags(
    booster: bytes, rows: np.ndarray, tmp_path: Path, name: str, version: str
) -> None:
    with pytest.raises(UserError, match="use "):
        write_package(booster, contents(rows), name=name, version=version, directory=tmp_path / "x")


def test_the_latest_is_the_highest_semantic_version(packaged: Path) -> None:
    root = packaged.parents[1]
    for version in ("1.10.0", "1.9.9", "1.10.0-rc.1"):
        shutil.copytree(packaged, packaged.parent / version)
    assert latest_package(root, "tiny").name == "1.10.0"


def test_versions_are_ordered_as_semantic_versioning_says() -> None:
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.0.1"]
    shuffled = ordered[3:] + ordered[:3]
    assert sorted(shuffled, key=version_key) == ordered
