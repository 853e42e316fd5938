"""Whether the two services are up, asked every second, and the model each serves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from shared.compare.client import Client
from shared.compare.samples import example_row, samples
from shared.compare.target import VARIANTS, Variant
from shared.compare.wire import NoAnswer, Reply
from shared.contract import routes
from shared.contract.wire import ModelCard

POLL_SECONDS = 1.0
PROBE_SECONDS = 2.0
MODEL_EVERY = 10
"""Polls between two looks at the model of a service that stays ready: it may have been started anew in between."""


class Watch:
    """Keeps the state of both services.

    Args:
        changed: called after every round with the state of each service and the digest of `model`, as the page reads it.
    """

    def __init__(self, clients: Mapping[Variant, Client], changed: Callable[[dict[str, Any]], None]) -> None:
        self._clients = clients
        self._changed = changed
        self._states: dict[Variant, dict[str, Any]] = {}
        self._cards: dict[Variant, ModelCard] = {}
        self._rounds = 0
        self._model: dict[str, Any] | None = None

    @property
    def model(self) -> dict[str, Any] | None:
        """The card of a service that has been seen ready, FastAPI's first, with sample transactions to send."""
        return self._model

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._round()
            await asyncio.sleep(POLL_SECONDS)

    async def _round(self) -> None:
        self._rounds += 1
        states = await asyncio.gather(*(self._look(variant) for variant in VARIANTS))
        self._states = dict(zip(VARIANTS, states, strict=True))
        await self._choose_model()
        digest = self._model and self._model["card"]["sha256"]
        self._changed({"states": self._states, "model": digest})

    async def _look(self, variant: Variant) -> dict[str, Any]:
        client = self._clients[variant]
        try:
            reply = await client.get(routes.READYZ, PROBE_SECONDS)
            if reply.status not in (200, 503):
                return {"state": "foreign", "reason": f"answers GET {routes.READYZ} with {reply.status}: no twinscore?"}
            if reply.status == 503:
                return {"state": "waiting", "reason": "starting or stopping"}
            if variant not in self._cards or self._ready_since(variant) or self._rounds % MODEL_EVERY == 0:
                problem = _read_card(await client.get(routes.MODEL), self._cards, variant)
                if problem is not None:
                    return {"state": "foreign", "reason": problem}
        except NoAnswer as error:
            return {"state": "down", "reason": str(error)}
        card = self._cards[variant]
        model = {"name": card.name, "version": card.version, "sha256": card.sha256, "backend": card.backend}
        return {"state": "ready", "model": model}

    def _ready_since(self, variant: Variant) -> bool:
        """Whether it was not ready in the round before."""
        return self._states.get(variant, {}).get("state") != "ready"

    async def _choose_model(self) -> None:
        chosen = next((variant for variant in VARIANTS if variant in self._cards), None)
        if chosen is None:
            return
        card = self._cards[chosen]
        if self._model is not None and self._model["card"]["sha256"] == card.sha256:
            return
        try:
            example = example_row(await self._clients[chosen].get(routes.OPENAPI))
        except NoAnswer:
            return  # asked again in the next round
        found = await asyncio.to_thread(samples, card, example)
        self._model = {
            "card": card.model_dump(mode="json"),
            "samples": [{"name": s.name, "about": s.about, "row": list(s.row)} for s in found],
        }


def _refuse(constant: str) -> None:
    """For NaN and infinities, which are no JSON."""
    raise ValueError(constant)


def _read_card(reply: Reply, cards: dict[Variant, ModelCard], variant: Variant) -> str | None:
    """Puts the card into `cards`; what is wrong with it, if anything."""
    if reply.status == 401:
        return "wants an API key: start this page with --api-key or set TWINSCORE_API_KEY"
    try:
        cards[variant] = ModelCard.model_validate(json.loads(reply.body, parse_constant=_refuse))
    except (ValueError, ValidationError):
        return f"answers GET {routes.MODEL} with no model card: no twinscore?"
    return None
