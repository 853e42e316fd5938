"""The bodies that cross the wire, as pydantic models, and the one way to read a request body.

Both services validate with these classes and serialise with their serialisers, so that a body which one of them
accepts, refuses or writes comes out of the other to the byte.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from shared.contract.errors import InvalidRequest, MalformedJSON

FLOAT32_LIMIT = 3.4028235677973362e38
"""The largest number that rounds to a finite float32."""

MAX_BATCH_REQUEST_ROWS = 1024
"""Rows that `POST /score/batch` takes at most."""

MAX_LISTED_ERRORS = 64
"""Validation errors listed in one problem document; the detail tells how many there are in all."""

PARSER_LIMITS = ("recursion limit exceeded", "number out of range")
"""How pydantic's parser says that JSON nests deeper than 200 levels, or has an integer of over 4,300 digits."""

MAX_LOC_LENGTH = 64
"""Characters of a client's own key repeated in `loc`, at most."""

Number = Annotated[
    float,
    Field(strict=True, allow_inf_nan=False, ge=-FLOAT32_LIMIT, le=FLOAT32_LIMIT),
]
Row = list[Number | None]


class ScoreRequest(BaseModel):
    """One row to score: the model's features in the order of the model card; null is a missing value."""

    model_config = ConfigDict(extra="forbid")

    features: Row

    @property
    def row_count(self) -> int:
        return 1


class BatchScoreRequest(BaseModel):
    """Rows to score, each as in a single request."""

    model_config = ConfigDict(extra="forbid")

    rows: list[Row]

    @property
    def row_count(self) -> int:
        return len(self.rows)


class ScoreResponse(BaseModel):
    """The probability that the transaction is fraudulent, and the version of the model that says so."""

    model_config = ConfigDict(protected_namespaces=())

    probability: float = Field(ge=0.0, le=1.0)
    model_version: str


class BatchScoreResponse(BaseModel):
    """The probabilities of the rows, in their order."""

    model_config = ConfigDict(protected_namespaces=())

    probabilities: list[Annotated[float, Field(ge=0.0, le=1.0)]]
    model_version: str


class ValidationErrorItem(BaseModel):
    """Where a body breaks the schema, and why; the offending value is never repeated."""

    loc: list[str | int]
    msg: str
    type: str


class ProblemDocument(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


class ValidationProblemDocument(ProblemDocument):
    """The problem document of a 422."""

    errors: list[ValidationErrorItem]


class FeatureCard(BaseModel):
    """One input of the model: its place in the list is its place in a row."""

    name: str
    description: str
    unit: str
    nullable: bool
    observed_min: float | None = Field(description="Smallest training value; null where none was seen.")
    observed_max: float | None = Field(description="Largest training value; null where none was seen.")


class ModelCard(BaseModel):
    """What is being served."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    version: str
    sha256: str = Field(description="Digest of the model package: it covers every file.")
    backend: str = Field(description="The predictor in use.")
    largest_deviation: float = Field(
        description="Largest difference of that predictor's probability from XGBoost's, measured when packaged."
    )
    created: str = Field(description="When the package was written, ISO 8601 in UTC.")
    features: list[FeatureCard]
    evaluation: dict[str, Any]
    decision_threshold: float | None


@cache
def score_request(n_features: int) -> type[ScoreRequest]:
    """`ScoreRequest` for rows of `n_features` values."""
    row = Annotated[Row, Field(min_length=n_features, max_length=n_features)]
    return create_model("ScoreRequest", __base__=ScoreRequest, __doc__=ScoreRequest.__doc__, features=row)


@cache
def batch_score_request(n_features: int) -> type[BatchScoreRequest]:
    """`BatchScoreRequest` for rows of `n_features` values."""
    row = Annotated[Row, Field(min_length=n_features, max_length=n_features)]
    rows = Annotated[list[row], Field(min_length=1, max_length=MAX_BATCH_REQUEST_ROWS)]
    return create_model("BatchScoreRequest", __base__=BatchScoreRequest, __doc__=BatchScoreRequest.__doc__, rows=rows)


M = TypeVar("M", bound=ScoreRequest | BatchScoreRequest)


def parse(model: type[M], body: bytes) -> M:
    """Reads a request body.

    Raises:
        MalformedJSON: the body is not JSON.
        InvalidRequest: it is JSON that breaks the model's schema.
    """
    try:
        return model.__pydantic_validator__.validate_json(body)  # type: ignore[no-any-return]
    except ValidationError as error:
        raise _refusal(error, body) from None


def _refusal(error: ValidationError, body: bytes) -> MalformedJSON | InvalidRequest:
    total = error.error_count()
    details = error.errors(include_url=False, include_context=False, include_input=False)
    if details[0]["type"] == "json_invalid":
        reason = details[0]["msg"].removeprefix("Invalid JSON: ")
        if reason.startswith(PARSER_LIMITS) and _is_json(body):
            return InvalidRequest(
                [{"loc": ["body"], "msg": f"JSON beyond the parser's limits: {reason}", "type": "json_limit"}], total=1
            )
        return MalformedJSON(f"The body is not JSON: {reason}.")
    listed = [
        {"loc": ["body", *map(_shorten, item["loc"])], "msg": item["msg"], "type": item["type"]}
        for item in details[:MAX_LISTED_ERRORS]
    ]
    return InvalidRequest(listed, total=total)


def _is_json(body: bytes) -> bool:
    """Whether a body that is beyond the first parser's limits is JSON: no row is, so this is for the right refusal."""
    try:
        json.loads(body, parse_int=float)
    except RecursionError:
        # Thousands of levels: told by the brackets outside strings, which takes no recursion.
        outside = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", body)
        return outside.count(b"[") == outside.count(b"]") and outside.count(b"{") == outside.count(b"}")
    except ValueError:
        return False
    return True


def _shorten(part: str | int) -> str | int:
    return part[:MAX_LOC_LENGTH] if isinstance(part, str) else part
