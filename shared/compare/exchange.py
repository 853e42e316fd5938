"""The same request to both services, and how their answers compare."""

from __future__ import annotations

import asyncio
import json
import secrets
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.compare.client import Client
from shared.compare.target import LABELS, VARIANTS, Variant
from shared.compare.wire import NoAnswer, Reply
from shared.contract import routes

CONTENT_TYPES: Final = ("application/json", "text/plain")
MAX_COUNT: Final = 200

Outcomes = Mapping[Variant, Reply | NoAnswer]


@dataclass(frozen=True)
class Sent:
    """What the page asked for: `count` requests, each to both services.

    Attributes:
        at_once: all of a service's requests in the same moment; else one after another.
    """

    body: bytes
    content_type: str
    count: int = 1
    at_once: bool = False


class Comparer:
    """Sends the same bytes to both services, one service after the other so that neither disturbs the other's time.

    Which one comes first changes every time. Both get the same request id, so that whole answers can be compared,
    and trace ids of their own, announced to `expect` before anything is sent.
    """

    def __init__(self, clients: Mapping[Variant, Client], expect: Callable[[str, Variant], None]) -> None:
        self._clients = clients
        self._expect = expect
        self._turn = 0
        self._lock = asyncio.Lock()

    async def send(self, sent: Sent) -> list[dict[str, Any]]:
        """The exchanges as JSON, in the order sent."""
        async with self._lock:  # two tabs at once would spoil each other's times
            ids = ["compare-" + secrets.token_hex(6) for _ in range(sent.count)]
            traces: dict[Variant, list[str]] = {v: [secrets.token_hex(16) for _ in ids] for v in VARIANTS}
            requests = {
                variant: [self._request(variant, sent, *both) for both in zip(ids, traces[variant], strict=True)]
                for variant in VARIANTS
            }
            outcomes: dict[Variant, list[Reply | NoAnswer]] = {variant: [] for variant in VARIANTS}
            if sent.at_once:
                for variant in self._order():
                    outcomes[variant] = await self._clients[variant].ask_at_once(requests[variant])
            else:
                for number in range(sent.count):
                    for variant in self._order():
                        outcomes[variant].append(await self._ask(variant, requests[variant][number]))
        return [
            _exchange(
                ids[number],
                {variant: outcomes[variant][number] for variant in VARIANTS},
                {variant: traces[variant][number] for variant in VARIANTS},
            )
            for number in range(sent.count)
        ]

    def _order(self) -> tuple[Variant, ...]:
        self._turn += 1
        return VARIANTS if self._turn % 2 else VARIANTS[::-1]

    async def _ask(self, variant: Variant, request: bytes) -> Reply | NoAnswer:
        try:
            return await self._clients[variant].ask(request)
        except NoAnswer as error:
            return error

    def _request(self, variant: Variant, sent: Sent, request_id: str, trace_id: str) -> bytes:
        self._expect(trace_id, variant)
        headers = {
            "accept": "application/json",
            "content-type": sent.content_type,
            "x-request-id": request_id,
            "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01",
        }
        return self._clients[variant].request("POST", routes.SCORE, headers, sent.body)


def _exchange(request_id: str, outcomes: Outcomes, traces: Mapping[Variant, str]) -> dict[str, Any]:
    answers = {variant: {"trace_id": traces[variant], **_answer(outcome)} for variant, outcome in outcomes.items()}
    return {"request_id": request_id, "answers": answers, "verdict": verdict(outcomes)}


def _answer(outcome: Reply | NoAnswer) -> dict[str, Any]:
    if isinstance(outcome, NoAnswer):
        return {"error": str(outcome)}
    probability = _probability(outcome)
    return {
        "status": outcome.status,
        "reason": outcome.reason,
        "headers": outcome.headers,
        "body": outcome.body.decode("utf-8", "replace"),
        "probability": probability,
        "bits": None if probability is None else float32_bits(probability),
        "began": outcome.began * 1e3,
        "ms": outcome.seconds * 1e3,
        "reused": outcome.reused,
    }


def _probability(reply: Reply) -> float | None:
    try:
        found = json.loads(reply.body)["probability"]
    except (ValueError, KeyError, TypeError):
        return None
    return float(found) if type(found) in (float, int) and 0 <= found <= 1 else None


def float32_bits(number: float) -> str:
    """The 32 bits of a number cast to float32, as 8 hexadecimal digits."""
    return struct.pack(">f", number).hex()


def verdict(outcomes: Outcomes) -> dict[str, Any]:
    """How two answers compare: `kind` is identical, refused, differ, one or none; `text` says it in a sentence."""
    replies = {variant: outcome for variant, outcome in outcomes.items() if isinstance(outcome, Reply)}
    if not replies:
        return {"kind": "none", "text": "Neither service answered."}
    if len(replies) == 1:
        answered, silent = (next(v for v in VARIANTS if (v in replies) is there) for there in (True, False))
        return {"kind": "one", "text": f"Only {LABELS[answered]} answered; {LABELS[silent]}: {outcomes[silent]}."}
    first, second = (replies[variant] for variant in VARIANTS)
    if first.status != second.status:
        return {"kind": "differ", "text": f"They differ: status {first.status} and {second.status}."}
    if first.header("content-type") != second.header("content-type"):
        return {"kind": "differ", "text": f"They differ: both answer {first.status}, with different content types."}
    if first.body != second.body:
        bits = [None if (p := _probability(reply)) is None else float32_bits(p) for reply in (first, second)]
        what = "their bodies are not the same bytes"
        if bits[0] != bits[1]:
            what = f"float32 bits {bits[0]} and {bits[1]}"
        return {"kind": "differ", "text": f"They differ: both answer {first.status}, but {what}."}
    size = len(first.body)
    if first.status == 200:
        return {"kind": "identical", "text": f"Bit-identical: both answers are the same {size} bytes."}
    return {"kind": "refused", "text": f"Refused alike: {first.status}, the same {size} bytes from both."}
