"""A FastAPI front before a BentoML service: SCORER_URL=http://127.0.0.1:3000 uvicorn examples.together.front:app"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request

from examples.together.payments import ScoringError, create_app

TIMEOUT_SECONDS = 12.0
"""Above the service's own deadline: its 504 tells more than a timeout here."""
PASSED_ON = ("x-request-id", "traceparent", "tracestate")


class HttpScorer:
    """Asks the service's `POST /score`."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.threshold = 0.5

    async def score(self, features: Sequence[float | None], request: Request) -> tuple[float, str]:
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        try:
            answer = await self._client.post("/score", json={"features": features}, headers=headers)
        except httpx.TransportError:
            raise ScoringError(503, b"the scoring service does not answer", {"retry-after": "1"}) from None
        if answer.status_code != 200:
            kept = ("content-type", "retry-after", "x-request-id")
            found = {name: answer.headers[name] for name in kept if name in answer.headers}
            raise ScoringError(answer.status_code, answer.content, found)
        body = answer.json()
        return body["probability"], body["model_version"]

    async def ready(self) -> bool:
        try:
            if (await self._client.get("/readyz")).status_code != 200:
                return False
            self.threshold = (await self._client.get("/model")).json()["decision_threshold"] or self.threshold
        except httpx.TransportError:
            return False
        return True


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # One pool of connections that stay open: a new connection a request would cost more than the score.
    url = os.environ.get("SCORER_URL", "http://127.0.0.1:3000")
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS) as client:
        app.state.scorer = HttpScorer(client)
        await app.state.scorer.ready()
        yield


app = create_app(lifespan=lifespan)
