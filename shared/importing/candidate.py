"""What can be served exactly, and why everything else cannot: one clear refusal each."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.contract.errors import UserError
from shared.model.predictor import Probabilities, Rows

OBJECTIVE = "binary:logistic"
BOOSTERS = ("gbtree", "dart")


@dataclass(frozen=True)
class Candidate:
    """A model that may be packaged."""

    kind: str
    """`XGBClassifier` or `Booster`: what the user saved."""
    booster: bytes
    """`model.ubj`, cut to the trees that the user's object predicts with."""
    feature_names: list[str] | None
    n_features: int
    trees: int
    predict: Callable[[Rows], Probabilities]
    """The user's own object: (n, features) to (n,), the probability of class 1."""
    note: str | None
    """What the user should know about how it was read."""


def examine(model: Any) -> Candidate:
    """Turns the object of a model file into a candidate.

    Raises:
        UserError: it is not a model, or one that this project cannot serve exactly.
    """
    import xgboost

    if isinstance(model, xgboost.XGBClassifier):
        return _classifier(model)
    if isinstance(model, xgboost.Booster):
        return _booster(model)
    raise UserError(_not_a_model(model))


def _not_a_model(model: Any) -> str:
    kind = type(model).__name__
    wanted = "save the fitted XGBClassifier or Booster itself"
    modules = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    if hasattr(model, "steps") and "sklearn" in modules:
        return (
            f"this is a {kind}, whose other steps change the rows before the model sees them: save its last step alone "
            "(pipeline[-1]) and send it rows that are transformed already"
        )
    if hasattr(model, "best_estimator_"):
        return f"this is a {kind}: save its best_estimator_ alone"
    if hasattr(model, "calibrated_classifiers_"):
        return f"this is a {kind}, which bends the model's probabilities afterwards and cannot be served: {wanted}"
    if "xgboost" in modules:
        return f"this is a {kind}, whose output is not the probability of one class: train an XGBClassifier instead"
    if isinstance(model, dict | list | tuple):
        return f"this is a {kind}, not a model: {wanted}"
    return f"this is a {kind}, not an XGBoost model: {wanted}"


def _classifier(model: Any) -> Candidate:
    from sklearn.exceptions import NotFittedError

    try:
        booster = model.get_booster()
    except NotFittedError:
        raise UserError("this XGBClassifier has not been fitted: call fit() before you save it") from None
    missing = model.missing
    if missing is None or not math.isnan(missing):
        raise UserError(
            f"this XGBClassifier takes {missing!r} for a missing value, and a service takes null (NaN) for it: train it "
            "with missing=NaN, the default"
        )
    n_features, trees = _check(booster)
    best = booster.attr("best_iteration")
    note = None
    if best is not None and int(best) + 1 < trees:
        booster = booster[: int(best) + 1]
        note = f"early stopping: the first {int(best) + 1} of {trees} rounds are kept, as predict_proba uses them"

    def predict(rows: Rows) -> Probabilities:
        probabilities: Probabilities = np.ascontiguousarray(model.predict_proba(rows)[:, 1])
        return probabilities

    return _candidate("XGBClassifier", booster, n_features, predict, note)


def _booster(booster: Any) -> Candidate:
    import xgboost

    n_features, trees = _check(booster)
    best = booster.attr("best_iteration")
    note = None
    if best is not None and int(best) + 1 < trees:
        note = (
            f"all {trees} rounds are kept, as Booster.predict uses them; to stop at the best, save "
            f"booster[:{int(best) + 1}] and import that"
        )

    def predict(rows: Rows) -> Probabilities:
        matrix = xgboost.DMatrix(rows, feature_names=booster.feature_names)
        probabilities: Probabilities = booster.predict(matrix)
        return probabilities

    return _candidate("Booster", booster, n_features, predict, note)


def _candidate(
    kind: str, booster: Any, n_features: int, predict: Callable[[Rows], Probabilities], note: str | None
) -> Candidate:
    return Candidate(
        kind=kind,
        booster=bytes(booster.save_raw("ubj")),
        feature_names=list(booster.feature_names) if booster.feature_names else None,
        n_features=n_features,
        trees=booster.num_boosted_rounds(),
        predict=predict,
        note=note,
    )


def _check(booster: Any) -> tuple[int, int]:
    """Number of features and of boosting rounds.

    Raises:
        UserError: the booster's plain output is not the probability of one class, computed by trees on numbers.
    """
    learner = json.loads(booster.save_config())["learner"]
    parameters = learner["learner_model_param"]
    if learner["gradient_booster"]["name"] not in BOOSTERS:
        raise UserError(
            f"this model was trained with booster={learner['gradient_booster']['name']!r}: only trees can be served "
            "(booster='gbtree', the default)"
        )
    if int(parameters["num_class"]) > 2:
        raise UserError(
            f"this model tells {parameters['num_class']} classes apart: a service answers one probability; train on two"
        )
    if int(parameters["num_target"]) > 1:
        raise UserError(
            f"this model has {parameters['num_target']} outputs: a service answers one probability; train one model each"
        )
    objective = learner["objective"]["name"]
    if objective != OBJECTIVE:
        raise UserError(
            f"this model was trained with objective={objective!r}, whose plain output is not the probability of a class: "
            f"train with objective={OBJECTIVE!r}"
        )
    if "c" in (booster.feature_types or ()) or _splits_by_category(booster):
        raise UserError("this model has categorical features, and rows are numbers: encode them before training")
    trees = booster.num_boosted_rounds()
    if trees == 0:
        raise UserError("this model has no trees: train it for at least one round")
    return booster.num_features(), trees


def _splits_by_category(booster: Any) -> bool:
    """Whether a tree asks for a category: the names of the types may have been left out."""
    from shared.importing.trees import read_trees

    return any(tree.get("categories_nodes") for tree in read_trees(bytes(booster.save_raw("json"))))
