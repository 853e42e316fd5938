"""Reading a model file: XGBoost's own formats as data, pickles only where the caller trusts them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

from shared.contract.errors import UserError

NATIVE_SUFFIXES = (".ubj", ".json")
"""XGBoost's own formats: read as data, nothing in them can run."""


def read_model(path: Path, *, trust: bool) -> Any:
    """The object in a model file: an `XGBClassifier`, a `Booster`, or whatever else was pickled.

    Args:
        path: `.ubj` or `.json` as XGBoost's `save_model` writes them; anything else is read as joblib or pickle.
        trust: unpickling runs code that the file's author chose; without this, pickles are refused unread.

    Raises:
        UserError: the file is missing, unreadable, untrusted, or not a model file.
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file: give the path of a saved XGBClassifier or Booster")
    if path.suffix.lower() in NATIVE_SUFFIXES:
        return _read_native(path)
    if not trust:
        raise UserError(
            f"{path} is a pickle, and reading a pickle runs whatever code its author put in it: add --trust if it is "
            "yours, or save the model with model.save_model('model.ubj') and import that"
        )
    return _unpickle(path)


def _unpickle(path: Path) -> Any:
    import joblib

    try:
        return joblib.load(path)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path} needs the Python module {error.name!r}, which is not installed here: install it, or import only "
            "the XGBClassifier or Booster, saved with save_model('model.ubj')"
        ) from None
    except (EOFError, pickle.UnpicklingError, KeyError, ValueError, IndexError, OSError) as error:
        raise UserError(
            f"{path} is not a whole joblib or pickle file ({_one_line(error)}): save the model again, or as "
            "model.ubj with save_model"
        ) from None
    # A pickle may raise anything: it runs its author's code.
    except Exception as error:
        raise UserError(
            f"{path} cannot be unpickled ({_one_line(error)}): it was probably written by other library versions; there, "
            "save it with model.save_model('model.ubj') and import that"
        ) from None


def _read_native(path: Path) -> Any:
    """A `Booster`, or the classifier around it where a scikit-learn wrapper saved it: it may stop at its best round."""
    import xgboost

    try:
        booster = xgboost.Booster(model_file=str(path))
        wrapper = json.loads(booster.attr("scikit_learn") or "{}")
        if wrapper.get("_estimator_type") != "classifier":
            return booster
        classifier = xgboost.XGBClassifier()
        classifier.load_model(str(path))
        return classifier
    except Exception as error:
        raise UserError(
            f"{path} is not a model that XGBoost {xgboost.__version__} can read ({_one_line(error)}): save it again "
            "with save_model"
        ) from None


def _one_line(error: Exception) -> str:
    """The first line of an error, or its kind: XGBoost's messages carry a stack trace."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
