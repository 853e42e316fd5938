"""What each route says of itself, and the OpenAPI 3.1 document made of it.

FastAPI generates its document from its typed routes, given `Operation.options`. `document` makes the same one, to the
byte, for a service that is not FastAPI; a test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.contract import errors, routes, wire
from shared.contract.example import Example

TITLE = "twinscore"
CONTRACT_VERSION = "1.0.0"
DESCRIPTION = (
    "Scores card transactions for fraud. Every error is an application/problem+json document (RFC 9457); "
    "every response carries x-request-id."
)
JSON = "application/json"
TEXT = "text/plain"
REQUEST_ID = "9f86d081884c7d659a2feaa0c55ad015"

PROBE = (errors.MethodNotAllowed, errors.InternalError)
READING = (errors.Unauthorized, *PROBE)
SCORING = (
    errors.MalformedJSON,
    errors.Unauthorized,
    errors.MethodNotAllowed,
    errors.PayloadTooLarge,
    errors.UnsupportedMediaType,
    errors.InvalidRequest,
    errors.TooManyRequests,
    errors.InternalError,
    errors.NotReady,
    errors.DeadlineExceeded,
)


@dataclass(frozen=True)
class Operation:
    """One route's part of the document."""

    method: str
    operation_id: str
    summary: str
    description: str
    problems: tuple[type[errors.Problem], ...]
    request: type[BaseModel] | None = None
    response: type[BaseModel] | None = None
    request_example: Any = None
    response_example: Any = None
    media_type: str = field(default=JSON)

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of FastAPI's path operation decorators."""
        options: dict[str, Any] = {
            "operation_id": self.operation_id,
            "summary": self.summary,
            "description": self.description,
            "responses": {problem.status: _problem_response(problem) for problem in self.problems},
        }
        if self.response_example is not None:
            options["responses"] = {200: {"content": {JSON: {"example": self.response_example}}}} | options["responses"]
        if self.request_example is not None:
            options["openapi_extra"] = {"requestBody": {"content": {JSON: {"example": self.request_example}}}}
        return options


def operations(n_features: int, example: Example) -> Mapping[str, Operation]:
    """Every documented route of a service whose model takes `n_features` values."""
    row, score = list(example.row), example.probability
    return {
        routes.SCORE: Operation(
            "post",
            "score",
            "Score one transaction",
            "The probability that the transaction is fraudulent. The features stand in the order of the model card.",
            SCORING,
            wire.score_request(n_features),
            wire.ScoreResponse,
            {"features": row},
            {"probability": score, "model_version": example.model_version},
        ),
        routes.SCORE_BATCH: Operation(
            "post",
            "score_batch",
            "Score up to 1,024 transactions",
            "The probabilities in the order of the rows; a row gets the same bits as it does alone.",
            SCORING,
            wire.batch_score_request(n_features),
            wire.BatchScoreResponse,
            {"rows": [row, row]},
            {"probabilities": [score, score], "model_version": example.model_version},
        ),
        routes.MODEL: Operation(
            "get",
            "model",
            "The model card",
            "What is being served, and what its features are.",
            READING,
            None,
            wire.ModelCard,
        ),
        routes.LIVEZ: Operation("get", "livez", "Liveness", "The process is up.", PROBE, media_type=TEXT),
        routes.HEALTHZ: Operation("get", "healthz", "Liveness", "The process is up.", PROBE, media_type=TEXT),
        routes.READYZ: Operation(
            "get",
            "readyz",
            "Readiness",
            "The model is loaded, verified and warm, and no drain has begun.",
            (errors.MethodNotAllowed, errors.InternalError, errors.NotReady),
            media_type=TEXT,
        ),
        routes.METRICS: Operation(
            "get",
            "metrics",
            "Metrics",
            "Prometheus' text format, all workers summed.",
            READING,
            media_type=TEXT,
        ),
    }


def document(described: Mapping[str, Operation]) -> bytes:
    """The OpenAPI document as compact JSON."""
    models: list[tuple[type[BaseModel], Any]] = []
    for operation in described.values():
        models += [(operation.request, "validation")] if operation.request else []
        models += [(operation.response, "serialization")] if operation.response else []
    _, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")
    schemas = definitions["$defs"]
    return render(
        {
            "openapi": "3.1.0",
            "info": {"title": TITLE, "description": DESCRIPTION, "version": CONTRACT_VERSION},
            "paths": {path: {operation.method: _operation(operation)} for path, operation in described.items()},
            "components": {"schemas": {name: schemas[name] for name in sorted(schemas)}},
        }
    )


def render(content: Mapping[str, Any]) -> bytes:
    """Compact JSON with sorted keys: generators differ in the order of members, which means nothing."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _operation(operation: Operation) -> dict[str, Any]:
    options = operation.options
    content: dict[str, Any] = {"summary": options["summary"], "description": options["description"]}
    content["operationId"] = options["operation_id"]
    if operation.request is not None:
        body = {"schema": _reference(operation.request), "example": operation.request_example}
        content["requestBody"] = {"content": {JSON: body}, "required": True}
    schema = _reference(operation.response) if operation.response else {"type": "string"}
    answer: dict[str, Any] = {"schema": schema}
    if operation.response_example is not None:
        answer["example"] = operation.response_example
    content["responses"] = {"200": {"description": "Successful Response", "content": {operation.media_type: answer}}}
    content["responses"] |= {str(p.status): _problem_response(p) for p in operation.problems}
    return content


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _problem_response(problem: type[errors.Problem]) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": problem.type_uri(),
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": REQUEST_ID,
    }
    model: type[BaseModel] = wire.ProblemDocument
    if problem is errors.InvalidRequest:
        model = wire.ValidationProblemDocument
        message = "Input should be a finite number"
        example["errors"] = [{"loc": ["body", "features", 3], "msg": message, "type": "finite_number"}]
    content: dict[str, Any] = {"schema": _inline(model), "example": example}
    response: dict[str, Any] = {
        "description": problem.title,
        "content": {errors.PROBLEM_CONTENT_TYPE: content},
    }
    headers = {"401": "WWW-Authenticate", "405": "Allow", "429": "Retry-After", "503": "Retry-After"}
    if name := headers.get(str(problem.status)):
        response["headers"] = {name: {"schema": {"type": "string"}}}
    return response


def _inline(model: type[BaseModel]) -> dict[str, Any]:
    """A schema without references: responses are added to FastAPI's routes as plain content."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    for name, definition in definitions.items():
        for member in schema["properties"].values():
            if member.get("items") == {"$ref": f"#/$defs/{name}"}:
                member["items"] = definition
    return schema
