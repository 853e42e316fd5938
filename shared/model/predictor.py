"""Predictors: (n, features) float32 rows in, (n,) float32 probabilities out, in one call.

XGBoost itself is the reference and always there. ONNX Runtime computes the same trees without XGBoost's cost per
call; on one thread it gives a row the same bits alone and in any batch. NaN is a missing value for both.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from shared.contract.errors import UserError

Rows = npt.NDArray[np.float32]
"""Shape (n, features), C-contiguous; NaN is a missing value."""

Probabilities = npt.NDArray[np.float32]
"""Shape (n,), each in [0, 1]."""


class Predictor(Protocol):
    """Safe to call from one thread at a time, and from several when the calls do not overlap in time."""

    backend: str

    def __call__(self, rows: Rows) -> Probabilities: ...


class OnnxPredictor:
    """ONNX Runtime, one thread: parallel sums would differ with the batch."""

    backend = "onnxruntime"

    def __init__(self, model: bytes) -> None:
        # ONNX Runtime reports its usage to its makers unless told not to before it is loaded.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._outputs = [self._session.get_outputs()[-1].name]

    def __call__(self, rows: Rows) -> Probabilities:
        probabilities: Probabilities = self._session.run(self._outputs, {self._input: rows})[0][:, 1]
        return probabilities


class XgboostPredictor:
    """XGBoost's own prediction, on the CPU or on a CUDA device."""

    def __init__(self, model: bytes, *, device: str = "cpu") -> None:
        self.backend = "xgboost" if device == "cpu" else device
        self._booster = load_booster(model)
        self._booster.set_param({"nthread": 1, "device": device})

    def __call__(self, rows: Rows) -> Probabilities:
        probabilities: Probabilities = self._booster.inplace_predict(rows)
        return probabilities


def load_booster(model: bytes) -> Any:
    """An `xgboost.Booster` from the bytes of `model.ubj`."""
    import xgboost

    return xgboost.Booster(model_file=bytearray(model))


def cuda_available() -> bool:
    """Whether this build of XGBoost can use CUDA and the machine has a device."""
    import xgboost

    return bool(xgboost.build_info().get("USE_CUDA")) and Path("/dev/nvidiactl").exists()


def check_backend(backend: str) -> None:
    """Raises UserError if this machine cannot run the backend."""
    if backend == "cuda" and not cuda_available():
        raise UserError(
            "TWINSCORE_BACKEND=cuda: no CUDA device, or an XGBoost built without CUDA; "
            "install `xgboost` in place of `xgboost-cpu` on a machine with a GPU, or unset it"
        )


def make_predictor(backend: str, files: dict[str, bytes]) -> Predictor:
    """The predictor named `backend` over the files of a package.

    Raises:
        UserError: the backend is unknown, not in this package, or this machine cannot run it.
    """
    from shared.model.manifest import BOOSTER_FILE, ONNX_FILE

    if backend == "xgboost":
        return XgboostPredictor(files[BOOSTER_FILE])
    if backend == "cuda":
        check_backend(backend)
        return XgboostPredictor(files[BOOSTER_FILE], device="cuda")
    if backend == "onnxruntime":
        if ONNX_FILE not in files:
            raise UserError("TWINSCORE_BACKEND=onnxruntime: this package has no model.onnx; use xgboost")
        return OnnxPredictor(files[ONNX_FILE])
    raise UserError(f"TWINSCORE_BACKEND={backend}: use onnxruntime, xgboost or cuda")
