"""What crosses the wire, as BentoML's IO descriptors.

BentoML batches along the first axis of arrays, while the contract sends one row as an object. These descriptors
translate: a request body becomes a (1, features) float32 array, a slice of the batch's result becomes a body. The
schema they show is that of the shared wire models.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, ClassVar

import numpy as np
from _bentoml_sdk.io_models import IODescriptor
from bentoml.exceptions import BentoMLException
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from shared.contract import wire
from shared.contract.errors import Problem
from shared.model.predictor import Probabilities, Rows
from shared.serving.exchange import exchange_of
from shared.serving.inference import PredictionError


class Refused(BentoMLException):
    """Carries a refusal through BentoML, which words exceptions its own way; the edge answers with the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail, error_code=HTTPStatus(problem.status))


def _is_fault(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], (Refused, PredictionError)))


# BentoML logs every exception with its trace; a client's mistake is no fault of the service, and a fault of the
# predictor has been logged once for its whole batch.
logging.getLogger("bentoml._internal.server.http_app").addFilter(_is_fault)


async def read(request: Request, model: type[wire.M]) -> wire.M:
    """The validated body of a request that has been given a slot.

    Raises:
        Refused: the body breaks the schema, or the service takes no more requests.
    """
    exchange = exchange_of(request.scope)
    try:
        body = wire.parse(model, await request.body())
        exchange.admit(body.row_count)
    except Problem as problem:
        exchange.problem = problem
        raise Refused(problem) from None
    return body


def respond(model: BaseModel) -> Response:
    return Response(model.__pydantic_serializer__.to_json(model), media_type="application/json")


class InputDescriptor(IODescriptor):
    """Read as one positional object, whose schema says `nullable` where BentoML would drop the null."""

    __root_input__: ClassVar[bool] = True

    @classmethod
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:
        schema: dict[str, Any] = _nullable(super().model_json_schema(*args, **options))
        return schema


def _nullable(schema: Any) -> Any:
    """JSON Schema's union with null as OpenAPI 3.0 writes it, which is what BentoML's documents are in."""
    if isinstance(schema, list):
        return [_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _nullable(value) for key, value in schema.items()}
    union = schema.get("anyOf", [])
    if len(union) == 2 and union[1] == {"type": "null"}:
        del schema["anyOf"]
        return {**schema, **union[0], "nullable": True}
    return schema


def descriptors(n_features: int, model_version: str) -> tuple[type[IODescriptor], ...]:
    """Input and output of `score`, input and output of `score_batch`, for rows of `n_features` values."""
    single = wire.score_request(n_features)
    several = wire.batch_score_request(n_features)

    class ScoreInput(InputDescriptor, single):  # type: ignore[valid-type, misc]
        @classmethod
        async def from_http_request(cls, request: Request, serde: Any) -> Rows:
            return np.array([(await read(request, single)).features], dtype=np.float32)

    class ScoreOutput(wire.ScoreResponse, IODescriptor):
        @classmethod
        async def to_http_response(cls, obj: Probabilities, serde: Any) -> Response:
            return respond(wire.ScoreResponse(probability=obj.item(), model_version=model_version))

    class BatchScoreInput(InputDescriptor, several):  # type: ignore[valid-type, misc]
        @classmethod
        async def from_http_request(cls, request: Request, serde: Any) -> Rows:
            return np.array((await read(request, several)).rows, dtype=np.float32)

    class BatchScoreOutput(wire.BatchScoreResponse, IODescriptor):
        @classmethod
        async def to_http_response(cls, obj: Probabilities, serde: Any) -> Response:
            return respond(wire.BatchScoreResponse(probabilities=obj.tolist(), model_version=model_version))

    return ScoreInput, ScoreOutput, BatchScoreInput, BatchScoreOutput
