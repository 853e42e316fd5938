"""What a service does with bytes, in a form that can be compared."""

from __future__ import annotations

import contextlib
import http.client
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, settings

from shared.verification.client import Answer
from tests.raw import Connection

IGNORED = frozenset({"date"})
MAX_ANSWERS = 20
EXAMPLES = os.environ.get("DIFFERENTIAL_EXAMPLES")
PAUSE_SECONDS = 0.002


def bounded(examples: int) -> settings:
    """The same examples every time; DIFFERENTIAL_EXAMPLES=5000 makes a longer run of other ones."""
    return settings(
        max_examples=int(EXAMPLES) if EXAMPLES else examples,
        derandomize=EXAMPLES is None,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@dataclass(frozen=True)
class Seen:
    """One answer, without what may differ: the date, and a request id that the service made."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class Outcome:
    """Everything that came back.

    Attributes:
        answers: in order.
        end: `closed` by the service, `open`, or `broken` where what came was not HTTP.
    """

    answers: tuple[Seen, ...]
    end: str

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]


def outcome(url: str, pieces: Sequence[bytes], methods: Sequence[str], idle_seconds: float) -> Outcome:
    """Sends the pieces with a pause between each, then reads until nothing comes for `idle_seconds`."""
    answers: list[Seen] = []
    with Connection(url, timeout=idle_seconds) as connection:
        # A service may close before it has been sent everything.
        with contextlib.suppress(OSError):
            for index, piece in enumerate(pieces):
                if index:
                    time.sleep(PAUSE_SECONDS)
                connection.send(piece)
        try:
            while len(answers) < MAX_ANSWERS:
                method = methods[len(answers)] if len(answers) < len(methods) else "GET"
                answers.append(seen(connection.read(method)))
        except TimeoutError:
            return Outcome(tuple(answers), "open")
        except (http.client.RemoteDisconnected, ConnectionError):
            return Outcome(tuple(answers), "closed")
        except http.client.HTTPException:
            return Outcome(tuple(answers), "broken")
    raise AssertionError(f"{MAX_ANSWERS} answers to {pieces!r}")


def seen(answer: Answer) -> Seen:
    given = answer.header("x-request-id")
    made = given[0] if given and len(given[0]) == 32 else None
    body = answer.body.replace(made.encode(), b"(made)") if made else answer.body
    headers = [
        (name, "(made)" if name == "x-request-id" and value == made else value)
        for name, value in answer.headers
        if name not in IGNORED
    ]
    return Seen(answer.status, tuple(sorted(headers)), body)
