"""`twinscore import`: what is packaged predicts as the user's own object does; what cannot be is refused, and why."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import xgboost
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from shared.cli import main
from shared.contract.errors import UserError
from shared.importing.package import Imported, import_file
from shared.importing.trees import threshold_rows
from shared.model.package import load_package

NAMES = ["amount", "hour", "age", "distance", "count"]
Import = Callable[..., Imported]


def table(n: int = 600, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Shape (n, 5) with missing values, scales from 1e-3 to 1e6; and labels."""
    rng = np.random.default_rng(seed)
    rows = (rng.normal(size=(n, 5)) * [1e-3, 1, 30, 1e6, 5]).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    labels = (np.nan_to_num(rows[:, 1]) + rng.normal(size=n) > 0.5).astype(int)
    return rows, labels


def fitted(**options: Any) -> xgboost.XGBClassifier:
    rows, labels = table()
    model = xgboost.XGBClassifier(**({"n_estimators": 12, "max_depth": 3, "n_jobs": 1} | options))
    model.fit(rows, labels, eval_set=[table(seed=4)] if "early_stopping_rounds" in options else None, verbose=False)
    model.get_booster().feature_names = NAMES
    return model


def trained(rounds: int = 5, labels: np.ndarray | None = None, **parameters: Any) -> xgboost.Booster:
    rows, own = table()
    matrix = xgboost.DMatrix(rows, own if labels is None else labels, feature_names=NAMES)
    return xgboost.train({"objective": "binary:logistic", "nthread": 1} | parameters, matrix, rounds)


@pytest.fixture
def bring(tmp_path: Path) -> Import:
    """Pickles an object and imports the file."""

    def run(model: Any, **options: Any) -> Imported:
        path = tmp_path / "model.joblib"
        joblib.dump(model, path)
        given = {"name": "mine", "version": "1.0.0", "out": tmp_path / "models", "trust": True}
        return import_file(path, **(given | options))

    return run


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_parallel_tree": 3, "subsample": 0.5},
        {"base_score": 0.01},
        {"booster": "dart", "rate_drop": 0.3},
        {"early_stopping_rounds": 3, "n_estimators": 200, "learning_rate": 0.7},
        {"scale_pos_weight": 20},
        {"n_estimators": 1, "max_depth": 1},
    ],
    ids=str,
)
def test_the_package_predicts_as_the_classifier_does(bring: Import, options: dict[str, Any]) -> None:
    model = fitted(**options)
    imported = bring(model)
    rows = threshold_rows(imported.candidate.booster, len(NAMES), 5000, seed=9)
    own = model.predict_proba(rows)[:, 1]
    assert load_package(imported.directory, "xgboost").predictor(rows).tobytes() == own.tobytes()
    assert np.abs(load_package(imported.directory).predictor(rows).astype(np.float64) - own).max() <= 2e-6
    assert [feature.name for feature in imported.manifest.features] == NAMES


def test_early_stopping_keeps_what_the_users_object_uses(bring: Import) -> None:
    model = fitted(early_stopping_rounds=3, n_estimators=200, learning_rate=0.7)
    rounds = model.get_booster().num_boosted_rounds()
    assert model.best_iteration + 1 < rounds
    assert bring(model).candidate.trees == model.best_iteration + 1
    whole = bring(model.get_booster(), version="2.0.0")
    assert whole.candidate.trees == rounds
    assert "booster[:" in (whole.candidate.note or "")


def test_a_saved_classifier_stops_at_its_best_round_and_needs_no_trust(tmp_path: Path) -> None:
    model = fitted(early_stopping_rounds=3, n_estimators=200, learning_rate=0.7)
    for suffix in ("ubj", "json"):
        model.save_model(tmp_path / f"model.{suffix}")
        done = import_file(
            tmp_path / f"model.{suffix}", name=suffix, version="1.0.0", out=tmp_path / "models", trust=False
        )
        assert done.candidate.trees == model.best_iteration + 1
        assert [feature.name for feature in done.manifest.features] == NAMES


def test_a_booster_of_leaves_alone_is_served_by_xgboost(bring: Import) -> None:
    """The ONNX converter gets a model without a single split wrong: the package notices and does without it."""
    model = fitted(base_score=1e-6)
    assert all(tree.startswith("0:leaf") for tree in model.get_booster().get_dump())
    imported = bring(model)
    assert imported.manifest.backend == "xgboost"
    assert list(imported.manifest.deviations) == ["xgboost"]
    assert load_package(imported.directory).predictor.backend == "xgboost"


def multi_label() -> xgboost.XGBClassifier:
    rows, labels = table()
    return xgboost.XGBClassifier(n_estimators=2, n_jobs=1).fit(rows, np.stack([labels, 1 - labels], axis=1))


def categorical() -> xgboost.Booster:
    rows, labels = table()
    rows = np.nan_to_num(rows)
    rows[:, 0] = np.arange(len(rows)) % 5
    matrix = xgboost.DMatrix(
        rows, labels, feature_names=NAMES, feature_types=["c", "q", "q", "q", "q"], enable_categorical=True
    )
    return xgboost.train({"objective": "binary:logistic", "nthread": 1, "max_cat_to_onehot": 1}, matrix, 3)


def without_types(booster: xgboost.Booster) -> xgboost.Booster:
    booster.feature_types = None
    return booster


def with_names(names: list[str] | None) -> xgboost.Booster:
    booster = trained()
    booster.feature_names = names
    return booster


class Halved(xgboost.XGBClassifier):
    """A user's own idea of a probability."""

    def predict_proba(self, X: Any, **options: Any) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        return np.asarray(super().predict_proba(X, **options)) / 2


def halved() -> Halved:
    rows, labels = table()
    model = Halved(n_estimators=3, n_jobs=1).fit(rows, labels)
    model.get_booster().feature_names = NAMES
    return model


LABELS = np.arange(600) % 3
REFUSED: list[tuple[str, Callable[[], Any], str]] = [
    ("multi-class", lambda: trained(labels=LABELS, objective="multi:softprob", num_class=3), "3 classes"),
    ("multi-label", multi_label, "2 outputs"),
    ("hinge", lambda: trained(objective="binary:hinge"), "binary:hinge.*train with"),
    ("logitraw", lambda: trained(objective="binary:logitraw"), "logitraw.*train with"),
    ("regression", lambda: trained(objective="reg:squarederror"), "reg:squarederror.*train with"),
    ("ranking", lambda: trained(objective="rank:pairwise"), "rank:.*train with"),
    ("regressor", lambda: xgboost.XGBRegressor(n_estimators=2).fit(*table()), "XGBRegressor"),
    ("linear", lambda: trained(booster="gblinear"), "gblinear"),
    ("dart Booster", lambda: trained(20, booster="dart", rate_drop=0.3), "exactly.*dart"),
    ("subclass", halved, "predicts otherwise"),
    ("missing", lambda: fitted(missing=-1.0), "-1.0 for a missing value"),
    ("not fitted", xgboost.XGBClassifier, "not been fitted"),
    ("no trees", lambda: trained(0), "no trees"),
    ("categories", categorical, "categorical"),
    ("hidden categories", lambda: without_types(categorical()), "categorical"),
    ("no names", lambda: with_names(None), "no feature names.*--features"),
    ("pipeline", lambda: make_pipeline(StandardScaler(), fitted()), r"pipeline\[-1\]"),
    ("search", lambda: GridSearchCV(fitted(), {"max_depth": [1]}, cv=2).fit(*table()), "best_estimator_"),
    ("other model", lambda: LogisticRegression().fit([[0], [1]], [0, 1]), "LogisticRegression, not an XGBoost"),
    ("dictionary", lambda: {"model": 1}, "a dict, not a model"),
    ("text", lambda: "hello", "a str, not an XGBoost model"),
]


@pytest.mark.parametrize(("make", "reason"), [item[1:] for item in REFUSED], ids=[item[0] for item in REFUSED])
def test_what_cannot_be_served_exactly_is_refused(
    bring: Import, tmp_path: Path, make: Callable[[], Any], reason: str
) -> None:
    # A class of this module is pickled by reference, which joblib resolves in the same process.
    with pytest.raises(UserError, match=reason) as refusal:
        bring(make())
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "models").exists()


class Touch:
    """Unpickling an instance makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled_without_trust(bring: Import, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    with pytest.raises(UserError, match="runs whatever code"):
        bring(Touch(proof), trust=False)
    assert not proof.exists()
    with pytest.raises(UserError, match="not an XGBoost model"):
        bring(Touch(proof))
    assert proof.exists()


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    whole = pickle.dumps(fitted())
    (tmp_path / "cut.joblib").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "noise.pkl").write_bytes(b"this is no pickle")
    (tmp_path / "empty.pkl").write_bytes(b"")
    (tmp_path / "module.pkl").write_bytes(b"cno_such_module_here\nThing\n.")
    (tmp_path / "renamed.pkl").write_bytes(b"cxgboost\nNoSuchClass\n.")
    (tmp_path / "noise.ubj").write_bytes(b"{nonsense")
    (tmp_path / "other.json").write_text('{"a": 1}')
    reasons = {
        "cut.joblib": "not a whole",
        "noise.pkl": "not a whole",
        "empty.pkl": "not a whole",
        "module.pkl": "no_such_module_here",
        "renamed.pkl": "other library versions",
        "noise.ubj": "not a model that XGBoost",
        "other.json": "not a model that XGBoost",
        "absent.ubj": "not a file",
    }
    for name, reason in reasons.items():
        with pytest.raises(UserError, match=reason) as refusal:
            import_file(tmp_path / name, name="mine", version="1.0.0", out=tmp_path / "models", trust=True)
        assert "\n" not in str(refusal.value)


def test_a_file_of_names_names_the_features(bring: Import, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(["a", "b", "c", "d"]))
    with pytest.raises(UserError, match=r"5 features.*lists 4"):
        bring(with_names(None), features=names)
    names.write_text("\n".join(["a", "b", "c", "b", "e"]))
    with pytest.raises(UserError, match="b is there more than once"):
        bring(with_names(None), features=names)
    names.write_text("\r\n".join(["a", "b", "c", "d", "e", ""]))
    imported = bring(with_names(None), features=names)
    assert [feature.name for feature in imported.manifest.features] == ["a", "b", "c", "d", "e"]


def test_descriptions_go_by_name_where_the_model_has_names(bring: Import, tmp_path: Path) -> None:
    notes = tmp_path / "features.json"
    listed = [{"name": name, "unit": f"unit of {name}"} for name in reversed(NAMES)]
    notes.write_text(json.dumps([*listed[:-1], {"name": "amont"}]))
    with pytest.raises(UserError, match="lacks amount, and has amont"):
        bring(trained(), features=notes)
    notes.write_text(json.dumps([{"name": "amount", "units": "EUR"}]))
    with pytest.raises(UserError, match="units"):
        bring(trained(), features=notes)
    notes.write_text("[{")
    with pytest.raises(UserError, match="JSON list of names"):
        bring(trained(), features=notes)
    notes.write_text(json.dumps(listed))
    cards = bring(trained(), features=notes).manifest.features
    assert [(card.name, card.unit) for card in cards] == [(name, f"unit of {name}") for name in NAMES]


def test_a_sample_gives_golden_rows_and_ranges(bring: Import, tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    lines = ["other,count,distance,age,hour,amount"]
    lines += [f"x,{index},{index * 1000},,{index / 7},1.5" for index in range(1000)]
    sample.write_text("\n".join(lines))
    manifest = bring(trained(), sample=sample).manifest
    ranges = {card.name: (card.observed_min, card.observed_max) for card in manifest.features}
    assert ranges["count"] == (0, 999)
    assert ranges["age"] == (None, None)
    assert manifest.golden.rows[0] == [1.5, 0, None, 0, 0]
    assert manifest.golden.rows[-1][3] == 999000


def test_flags_in_a_sample_are_ones_and_zeros(bring: Import, tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("amount,hour,age,distance,count\n1,True,3,4,5\n1,False,3,4,5\n")
    assert [row[1] for row in bring(trained(), sample=sample).manifest.golden.rows[:2]] == [1, 0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("amount,hour,age,count\n1,2,3,4", "lacks the columns distance"),
        ("amount,hour,age,distance,count\n", "no rows"),
        ("amount,hour,age,distance,count\n1,two,3,4,5", "hour holds string, not numbers"),
        ("amount,hour,age,distance,count\n1,1e39,3,4,5", "hour has a number that does not fit"),
        ("amount,hour,age,distance,count,hour\n1,2,3,4,5,6", "more than one column named hour"),
        ("", "cannot be read"),
    ],
)
def test_unusable_samples_are_refused(bring: Import, tmp_path: Path, content: str, reason: str) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text(content)
    with pytest.raises(UserError, match=reason):
        bring(trained(), sample=sample)
    assert not (tmp_path / "models").exists()


def test_the_command_tells_how_to_serve(tmp_path: Path) -> None:
    fitted().save_model(tmp_path / "model.ubj")
    arguments = ["import", str(tmp_path / "model.ubj"), "--name", "mine", "--version", "1.0.0"]
    arguments += ["--out", str(tmp_path / "models")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert f"twinscore serve both --model {tmp_path / 'models' / 'mine' / '1.0.0'}" in done.stdout
    assert "backend onnxruntime" in done.stderr
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    into_a_file = CliRunner().invoke(main, [*arguments[:-1], str(tmp_path / "model.ubj")])
    assert into_a_file.exit_code == 2
    assert "is a file" in into_a_file.stderr
