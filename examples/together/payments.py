"""A product's own API, as a backend team writes it: a payment comes in, a decision goes out. FastAPI, and nothing of a model.

Who scores is left open: `front.py` asks a BentoML service over HTTP, `mounted.py` scores in the same process.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from pydantic import BaseModel, Field

from shared.contract.errors import UserError
from shared.model.features.state import FeatureState, Transaction


class Payment(BaseModel):
    payment_id: int
    card: str = Field(min_length=1)
    shop: str = Field(min_length=1)
    amount: float = Field(ge=0)
    at: datetime


class Decision(BaseModel):
    payment_id: int
    decision: Literal["accept", "review"]
    probability: float
    model_version: str


class Scorer(Protocol):
    """Whatever gives a row of features its probability.

    Attributes:
        threshold: payments at or above it are reviewed.
    """

    threshold: float

    async def score(self, features: Sequence[float | None], request: Request) -> tuple[float, str]:
        """The probability and the version of the model. Raises ScoringError."""
        ...

    async def ready(self) -> bool: ...


class ScoringError(Exception):
    """The scorer answered, but not with a probability: its answer is ours."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status, self.body, self.headers = status, body, headers


def scorer_of(request: Request) -> Scorer:
    scorer: Scorer = request.app.state.scorer
    return scorer


UsesScorer = Annotated[Scorer, Depends(scorer_of)]
router = APIRouter()
# Kept in this process: run one worker, or send each card always to the same one. See docs/online-features.md.
state = FeatureState()


@router.post("/payments")
async def decide(payment: Payment, request: Request, scorer: UsesScorer) -> Decision:
    """Accept a payment, or have somebody look at it."""
    transaction = Transaction(payment.payment_id, payment.at, payment.card, payment.shop, payment.amount)
    try:
        row = state.update(transaction).tolist()
    except UserError as error:
        raise ScoringError(422, str(error).encode(), {"content-type": "text/plain"}) from None
    features = [None if value != value else value for value in row]
    probability, version = await scorer.score(features, request)
    decision: Literal["accept", "review"] = "review" if probability >= scorer.threshold else "accept"
    return Decision(payment_id=payment.payment_id, decision=decision, probability=probability, model_version=version)


@router.get("/readyz")
async def readyz(scorer: UsesScorer) -> Response:
    """Ready when the scorer is."""
    return Response(status_code=200 if await scorer.ready() else 503)


def create_app(**options: Any) -> FastAPI:
    """The application; `app.state.scorer` must be set before the first request."""
    app = FastAPI(title="Payments", **options)
    app.include_router(router)

    @app.exception_handler(ScoringError)
    async def refused(request: Request, error: ScoringError) -> Response:
        return Response(error.body, error.status, error.headers)

    return app
