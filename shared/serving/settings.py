"""Settings of both services, read from `TWINSCORE_*` environment variables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.contract.errors import UserError
from shared.serving.keys import ApiKeys
from shared.telemetry.logs import LogFormat

PREFIX = "TWINSCORE_"
OTHER_VARIABLES = {f"{PREFIX}API_KEY", f"{PREFIX}METRICS_DIR", f"{PREFIX}SUPERVISOR_PID"}
"""Of the commands that ask a service, and between our own processes."""

ALIKE = 0.85


class Settings(BaseSettings):
    """Every field is a variable `TWINSCORE_<FIELD>`; `twinscore settings` prints them with their values."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int | None = Field(
        None, ge=0, le=65535, description="Port to listen on; unset: 8000 for FastAPI, 3000 for BentoML."
    )
    workers: int = Field(1, ge=1, le=256, description="Worker processes; each loads the model.")
    model: Path | None = Field(
        None,
        description="Folder of the model package to serve; unset: the highest version of xgb_fraud, "
        "under models/; for BentoML that of its model store where there is none, as in an image.",
    )
    backend: Literal["onnxruntime", "xgboost", "cuda"] | None = Field(
        None, description="Predictor; unset: the package's default. xgboost is always there."
    )
    batcher: Literal["eager", "native", "off"] = Field(
        "eager",
        description="How single rows are put together: eager takes what is queued when the predictor is free; "
        "native is BentoML's own dispatcher (BentoML only); off predicts every request alone.",
    )
    max_batch_rows: int = Field(128, ge=2, le=65536, description="Rows predicted in one batch at most.")
    max_in_flight: int = Field(
        1024, ge=1, description="Requests a worker predicts or queues at once; one more is answered 429."
    )
    deadline_seconds: float = Field(
        10.0,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="A request not answered by then is answered 504.",
    )
    drain_seconds: float = Field(
        5.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="After SIGTERM: how long to go on serving with /readyz at 503 before the listener closes.",
    )
    max_body_bytes: int | None = Field(
        None, ge=1, description="Largest request body; unset: 64 KiB + 1,024 x features x 32."
    )

    api_keys_file: Path | None = Field(
        None,
        description="File with a line `sha256:<hex> <comment>` for each API key (see `twinscore key`); unset: none is needed.",
    )
    tls_cert_file: Path | None = Field(
        None, description="PEM file of the TLS certificate and its chain; with tls_key_file the service speaks HTTPS."
    )
    tls_key_file: Path | None = Field(None, description="PEM file of the certificate's private key.")
    hang_seconds: float = Field(
        30.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="A worker whose event loop or predictor stands still for this long, at least 1, is ended, "
        "so that it is replaced; 0 never.",
    )
    metrics: bool = Field(True, description="Keep Prometheus metrics; without them /metrics is empty.")
    access_log: bool = Field(True, description="Log a line for each request.")
    log_format: LogFormat = Field(
        "auto", description="json, text, or auto: text where standard error is a terminal, else json."
    )
    bentoml_pages: bool = Field(
        True,
        description="BentoML's own page (/), /schema.json and /docs.json, which its Python client needs; BentoML only.",
    )

    @field_validator("hang_seconds")
    @classmethod
    def _not_too_soon(cls, seconds: float) -> float:
        if 0 < seconds < 1:
            raise PydanticCustomError("too_soon", "Input should be 0, or at least 1")
        return seconds

    def api_keys(self) -> ApiKeys | None:
        """The keys of `api_keys_file`. Raises UserError if it cannot be used."""
        return None if self.api_keys_file is None else ApiKeys.load(self.api_keys_file)

    def body_limit(self, n_features: int) -> int:
        """Bytes: 1,024 rows of the model's features at 32 characters a value, and room for the rest."""
        return self.max_body_bytes or 64 * 1024 + 1024 * n_features * 32


def misspelt() -> dict[str, str]:
    """Variables that are no settings but nearly so, and the setting that each may mean.

    Only those: other programs have variables of this prefix too, Kubernetes among them, where a service is called so.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    found: dict[str, str] = {}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            from difflib import get_close_matches

            for near in get_close_matches(name, known - OTHER_VARIABLES, n=1, cutoff=ALIKE):
                found[name] = near
    return found


def load_settings(**overrides: object) -> Settings:
    """Reads the environment; `overrides` that are not None win.

    Raises:
        UserError: a value cannot be used; the message names the variable.
    """
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = PREFIX + ".".join(map(str, first["loc"])).upper()
        raise UserError(f"{name}={first['input']}: {first['msg']}; see `twinscore settings`") from None
