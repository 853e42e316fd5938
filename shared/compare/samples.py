"""Transactions to start from, for the model that is served."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from shared.compare.wire import Reply
from shared.contract import routes
from shared.contract.wire import ModelCard
from shared.model.features.definition import FEATURES
from shared.model.features.state import FeatureState, Transaction

Row = Sequence[float | None]

NOW = datetime(2026, 3, 18, 15, 42, 7)
CARD, SHOP, BAD_SHOP = "card", "shop", "compromised shop"
HISTORY_DAYS = 40


@dataclass(frozen=True)
class Sample:
    """A row to send. `about` says in a few words what is special about it."""

    name: str
    about: str
    row: Row


def example_row(reply: Reply) -> Row | None:
    """The example of `POST /score` in an OpenAPI document, if there is one."""
    try:
        body = json.loads(reply.body)["paths"][routes.SCORE]["post"]["requestBody"]
        row = body["content"]["application/json"]["example"]["features"]
        return [None if value is None else _short(value) for value in row]
    except (ValueError, KeyError, TypeError):
        return None


def samples(card: ModelCard, example: Row | None) -> list[Sample]:
    """The example of the service's own document, and rows that show what a model must cope with."""
    found = []
    if example is not None and len(example) == len(card.features):
        found.append(Sample("Example", "the one in the service's OpenAPI document", example))
    own = [feature.name for feature in card.features] == [feature.name for feature in FEATURES]
    return [*found, *(_transactions() if own else _rows(card))]


def _short(value: float) -> float:
    """The shortest decimal that is the same float32."""
    return float(np.format_float_positional(np.float32(value), unique=True))


def _rows(card: ModelCard) -> Iterator[Sample]:
    """For models with features of their own: rows made from the card alone."""
    low = [_short(f.observed_min) if f.observed_min is not None else None for f in card.features]
    high = [_short(f.observed_max) if f.observed_max is not None else None for f in card.features]
    middle = [None if a is None or b is None else _short((a + b) / 2) for a, b in zip(low, high, strict=True)]
    yield Sample("Middle", "every feature midway between its extremes", middle)
    yield Sample("Lowest", "every feature at its smallest training value", low)
    yield Sample("Highest", "every feature at its largest training value", high)
    nulls = [None if f.nullable else value for f, value in zip(card.features, middle, strict=True)]
    yield Sample("Missing", "null wherever the model card allows it", nulls)
    beyond = [None if a is None or b is None else _short(2 * b - a + 1) for a, b in zip(low, high, strict=True)]
    yield Sample("Out of range", "every feature beyond its largest training value", beyond)


def _transactions() -> Iterator[Sample]:
    """For the 42 features: real transactions after a month of history, through the online features."""
    yield Sample("Typical", "a known card, a usual amount, its usual shop", _features(38.4))
    yield Sample("High amount", "fifteen times what this card usually pays", _features(612.5))
    yield Sample("Bad shop", "a usual amount at a shop with frauds reported", _features(41.9, terminal=BAD_SHOP))
    yield Sample("No history", "a new card in a new shop: null wherever history is needed", _features(57.2, "?", "?"))
    yield Sample("Out of range", "an amount far beyond anything in training", _features(25_000.0))


def _features(amount: float, customer: str = CARD, terminal: str = SHOP) -> Row:
    state = FeatureState()
    for transaction, is_fraud in _history():
        state.update(transaction)
        if is_fraud:
            state.label(transaction, True)
    row = state.update(Transaction(0, NOW, customer, terminal, amount))
    return [None if np.isnan(value) else _short(value) for value in row]


def _history() -> list[tuple[Transaction, bool]]:
    """What went before, in order of time: one card, two shops and the others who pay there."""
    draw = random.Random(7)
    found: list[tuple[Transaction, bool]] = []
    for day in range(HISTORY_DAYS, 0, -1):
        for shop in (SHOP, BAD_SHOP):
            customers = [CARD, "another", "a third"] if shop == SHOP else ["a fourth", "a fifth"]
            for customer in customers:
                if draw.random() < 0.7:
                    when = NOW - timedelta(days=day, seconds=draw.randrange(-28_000, 28_000))
                    amount = round(max(4.0, draw.gauss(40, 12)), 2)
                    is_fraud = shop == BAD_SHOP and 6 < day < 20
                    found.append((Transaction(len(found) + 1, when, customer, shop, amount), is_fraud))
    return sorted(found, key=lambda item: item[0].timestamp)
