"""How each contender is started and asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks import CACHE, ROOT

Row = list[float]
Venv = Literal["own", "bench", "extra"]
PORT = "{port}"
SINK = "{sink}"
MODEL = "{model}"


@dataclass(frozen=True)
class Contender:
    """A server under test.

    Attributes:
        name: as in the report and for --only.
        label: how people call it.
        arguments: after the interpreter; `{port}` and `{model}` are filled in.
        predictors: what it can predict with; `proba` is XGBClassifier.predict_proba, `ours` our predictor.
        venv: the environment it runs in.
        environment: added to the process's own; `{port}` and `{model}` are filled in.
        body: a row as its request body.
        read: the probability in its answer's JSON.
        metrics: it has our Prometheus metrics, from which batch sizes are read.
        shares: server and load have all cores between them, not one each.
    """

    name: str
    label: str
    arguments: Sequence[str]
    predictors: Sequence[str] = ("proba", "ours")
    venv: Venv = "own"
    environment: Mapping[str, str] = field(default_factory=dict)
    path: str = "/score"
    body: Callable[[Row], Any] = lambda row: {"features": row}
    read: Callable[[Any], float] = lambda answer: float(answer["probability"])
    metrics: bool = False
    shares: bool = False

    def body_bytes(self, row: Row) -> bytes:
        return json.dumps(self.body(row)).encode()


def _uvicorn(app: str) -> list[str]:
    return ["-m", "uvicorn", app, "--host", "127.0.0.1", "--port", PORT, "--no-access-log", "--log-level", "warning"]


def _bentoml(service: str) -> list[str]:
    return ["-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", PORT]


def _ours(name: str, label: str, variant: str, *, workers: int = 1, shares: bool = False, **settings: str) -> Contender:
    return Contender(
        name,
        label,
        ["-m", "shared.cli", "serve", variant, "--port", PORT, "--model", MODEL, "--workers", str(workers)],
        predictors=("ours",),
        environment={"TWINSCORE_DRAIN_SECONDS": "0", **settings},
        metrics=settings.get("TWINSCORE_METRICS") != "false",
        shares=shares,
    )


def _textbook_bento(name: str, label: str, module: str, **options: Any) -> Contender:
    return Contender(
        name,
        label,
        _bentoml(f"benchmarks.contenders.{module}:FraudDetector"),
        body=lambda row: {"features": [row]},
        read=lambda answer: float(answer[0]),
        **options,
    )


OURS = ("fastapi", "bento")

CONTENDERS = (
    _ours("fastapi", "Twinscore FastAPI", "fastapi"),
    _ours("bento", "Twinscore BentoML", "bento"),
    Contender("textbook-fastapi", "textbook FastAPI", _uvicorn("benchmarks.contenders.textbook_fastapi:app")),
    _textbook_bento("textbook-bento", "textbook BentoML", "textbook_bento"),
    Contender("litserve", "LitServe", ["-m", "benchmarks.contenders.litserve_server"], venv="bench"),
    Contender(
        "mosec",
        "Mosec",
        [
            "-m",
            "benchmarks.contenders.mosec_server",
            "--address",
            "127.0.0.1",
            "--port",
            PORT,
            "--log-level",
            "warning",
        ],
        venv="bench",
        path="/inference",
    ),
    Contender("ray", "Ray Serve", ["-m", "benchmarks.contenders.ray_server"], venv="extra"),
    Contender(
        "mlserver",
        "MLServer",
        ["-m", "benchmarks.contenders.mlserver_server"],
        venv="extra",
        path="/v2/models/fraud/infer",
        body=lambda row: {"inputs": [{"name": "features", "shape": [1, len(row)], "datatype": "FP32", "data": row}]},
        read=lambda answer: float(answer["outputs"][0]["data"][0]),
    ),
    Contender("floor", "bare ASGI app", _uvicorn("benchmarks.contenders.floor:app"), predictors=("none",)),
)

BATCHERS = (
    _ours("fastapi-off", "Twinscore FastAPI, batcher off", "fastapi", TWINSCORE_BATCHER="off"),
    _ours("bento-off", "Twinscore BentoML, batcher off", "bento", TWINSCORE_BATCHER="off"),
    _ours("bento-native", "Twinscore BentoML, its own batcher", "bento", TWINSCORE_BATCHER="native"),
)

SILENT = {"TWINSCORE_METRICS": "false", "TWINSCORE_ACCESS_LOG": "false"}
TRACED = {"OTEL_EXPORTER_OTLP_ENDPOINT": SINK}
SAMPLED = {**TRACED, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.05"}

TELEMETRY = tuple(
    _ours(f"{variant}-{name}", f"{label}, {what}", variant, **settings)
    for variant, label in (("fastapi", "Twinscore FastAPI"), ("bento", "Twinscore BentoML"))
    for name, what, settings in (
        ("silent", "all telemetry off", SILENT),
        ("sampled", "metrics, logs and every twentieth trace", SAMPLED),
        ("traced", "metrics, logs and every trace", TRACED),
    )
)

WORKERS = tuple(
    _ours(
        f"{variant}-{count}-workers", f"{label}, {count} worker{'s' * (count > 1)}", variant, workers=count, shares=True
    )
    for variant, label in (("fastapi", "Twinscore FastAPI"), ("bento", "Twinscore BentoML"))
    for count in (1, 2)
)


def _ladder(steps: str, label: str) -> tuple[Contender, Contender]:
    last = steps.rpartition(",")[2]
    environment = {"BENCH_STEPS": steps}
    return (
        Contender(
            f"ladder-fastapi-{last}",
            label,
            _uvicorn("benchmarks.contenders.ladder_fastapi:app"),
            predictors=("ours",),
            environment=environment,
        ),
        _textbook_bento(f"ladder-bento-{last}", label, "ladder_bento", predictors=("ours",), environment=environment),
    )


LADDER = (
    *_ladder("predictor", "our predictor"),
    *_ladder("predictor,eager", "eager batches"),
    *_ladder("predictor,eager,frozen", "frozen garbage collection"),
)

BY_NAME = {contender.name: contender for contender in (*CONTENDERS, *BATCHERS, *TELEMETRY, *WORKERS, *LADDER)}


def interpreter(venv: Venv) -> Path:
    """The Python of an environment; `make bench-setup` makes the ones that are not this process's own."""
    if venv == "own":
        return Path(sys.executable)
    return ROOT / {"bench": ".venv-bench", "extra": ".venv-bench-extra"}[venv] / "bin" / "python"


def installed(contender: Contender) -> bool:
    return interpreter(contender.venv).exists()


def environment_of(contender: Contender, port: int, model: Path, predictor: str, sink: str) -> dict[str, str]:
    """What the contender's process gets besides the caller's environment."""
    values = {
        "PYTHONPATH": str(ROOT),
        "BENCH_MODEL": str(model),
        "BENCH_PREDICTOR": predictor,
        "BENCH_PORT": str(port),
        "BENTOML_HOME": str(CACHE / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    return values | {key: value.format(sink=sink) for key, value in contender.environment.items()}
