"""The client: batches of rows to a service, with the retries that the contract allows."""

from __future__ import annotations

import random
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from pydantic import ValidationError

from shared.contract import routes
from shared.contract.errors import UserError
from shared.contract.wire import BatchScoreResponse, ModelCard

RETRIED = (429, 503, 504)
"""The contract's refusals of load and of time; the same request may be sent again."""

MAX_PORT = 65535
MAX_TRIES = 10
FIRST_WAIT_SECONDS = 0.2
MAX_WAIT_SECONDS = 8.0
TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Scored:
    """The answer for one row: its probability and the model that gave it, or the service's reason to refuse it."""

    probability: float | None
    model_version: str
    reason: str | None = None


class ScoringClient:
    """Talks to one service. Its methods may be called from several threads at once.

    Args:
        url: the service's base.
        api_key: sent as a bearer token.
        ca: file of CA certificates (PEM) to trust in place of the system's.
        connections: open at once.
    """

    def __init__(self, url: str, *, api_key: str | None = None, ca: Path | None = None, connections: int = 4) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise UserError(f"--url {url}: {error}") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise UserError(f"--url {url}: give the service's address, such as http://127.0.0.1:8000")
        try:
            parsed.host.encode("idna")
        except UnicodeError:
            raise UserError(f"--url {url}: {parsed.host!r} is no name of a host") from None
        if parsed.port is not None and parsed.port > MAX_PORT:
            raise UserError(f"--url {url}: a port is {MAX_PORT} at most")
        if api_key is not None and (not api_key.isascii() or not api_key.isprintable()):
            raise UserError("--api-key: an API key is printable ASCII text")
        if ca is not None and parsed.scheme != "https":
            raise UserError(f"--ca goes with https, and {url} is not https")
        try:
            context: ssl.SSLContext | bool = True if ca is None else ssl.create_default_context(cafile=ca)
        except OSError as error:
            raise UserError(f"--ca {ca}: not a file of CA certificates in PEM: {error}") from None
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            headers={} if api_key is None else {"authorization": f"Bearer {api_key}"},
            timeout=TIMEOUT_SECONDS,
            verify=context,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )
        self.retries = 0
        """Requests sent again so far."""
        self._stopped = threading.Event()

    def __enter__(self) -> ScoringClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def stop(self) -> None:
        """Ends every wait for another try: the request fails at once."""
        self._stopped.set()

    def card(self) -> ModelCard:
        """What the service serves.

        Raises:
            UserError: it cannot be reached, or is no such service.
        """
        # A wrong address should be told soon, so this asks only three times.
        answer = self._send("GET", routes.MODEL, None, tries=3)
        if answer.status_code != 200:
            raise self._unusable(answer)
        try:
            return ModelCard.model_validate_json(answer.content)
        except ValidationError:
            raise UserError(f"{self.url}{routes.MODEL} answers no model card: is it a Twinscore service?") from None

    def score(self, rows: Sequence[Sequence[float | None]]) -> list[Scored]:
        """An answer for each row, in order. Rows that the service refuses by number are left out and the rest sent again.

        Args:
            rows: shape (n, features), 1 <= n <= 1,024; None is a missing value.

        Raises:
            UserError: the service cannot be used: it keeps failing, or refuses the request as a whole.
        """
        answers: list[Scored | None] = [None] * len(rows)
        pending = list(range(len(rows)))
        while pending:
            answer = self._send("POST", routes.SCORE_BATCH, {"rows": [rows[index] for index in pending]})
            if answer.status_code == 413 and len(pending) > 1:
                half = len(pending) // 2
                for part in (pending[:half], pending[half:]):
                    for index, scored in zip(part, self.score([rows[index] for index in part]), strict=True):
                        answers[index] = scored
                break
            if answer.status_code == 422:
                refused = self._refused_rows(answer)
                for place, reason in refused.items():
                    answers[pending[place]] = Scored(None, "", reason)
                pending = [index for place, index in enumerate(pending) if place not in refused]
                continue
            for index, scored in zip(pending, self._scores(answer, len(pending)), strict=True):
                answers[index] = scored
            break
        return [answer for answer in answers if answer is not None]

    def _scores(self, answer: httpx.Response, expected: int) -> list[Scored]:
        if answer.status_code != 200:
            raise self._unusable(answer)
        try:
            body = BatchScoreResponse.model_validate_json(answer.content)
        except ValidationError:
            raise UserError(
                f"{self.url}{routes.SCORE_BATCH} answers no probabilities: is it a Twinscore service?"
            ) from None
        if len(body.probabilities) != expected:
            raise UserError(
                f"{self.url} answered {len(body.probabilities)} probabilities for {expected} rows: do not use it"
            )
        return [Scored(probability, body.model_version) for probability in body.probabilities]

    def _refused_rows(self, answer: httpx.Response) -> dict[int, str]:
        """Reasons by the row's place in the request; raises where the refusal is not about single values."""
        refused: dict[int, str] = {}
        for item in _problem(answer).get("errors", ()):
            match item:
                case {"loc": ["body", "rows", int(row), int(column), *_], "msg": str(reason)}:
                    refused.setdefault(row, f"the service refuses value {column + 1}: {reason}")
        if not refused:
            raise self._unusable(answer)
        return refused

    def _send(self, method: str, path: str, body: Any, tries: int = MAX_TRIES) -> httpx.Response:
        """The answer to a request, sent again while the contract allows it."""
        for attempt in range(1, tries + 1):
            answer: httpx.Response | None = None
            try:
                answer = self._http.request(method, self.url + path, json=body)
                if answer.status_code not in RETRIED:
                    return answer
                reason = f"it answers {answer.status_code}"
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
                if "CERTIFICATE_VERIFY_FAILED" in reason:
                    raise UserError(f"{self.url}: {reason}; give its authority with --ca") from None
            if attempt < tries:
                if self._stopped.wait(_wait_seconds(answer, attempt)):
                    break
                self.retries += 1
        raise UserError(f"{self.url} cannot be used, tried {attempt} times: {reason}; start it, or try again later")

    def _unusable(self, answer: httpx.Response) -> UserError:
        problem = _problem(answer)
        if answer.status_code == 401:
            return UserError(f"{self.url} wants an API key it knows: give --api-key or set TWINSCORE_API_KEY")
        detail = problem.get("detail") or "no Twinscore service?"
        first = ""
        match problem.get("errors"):
            case [{"loc": [*location], "msg": message}, *_]:
                first = f" ({'.'.join(map(str, location))}: {message})"
        request = f"; request id {problem['request_id']}" if "request_id" in problem else ""
        return UserError(f"{answer.request.url} answers {answer.status_code}: {detail}{first}{request}")


def _wait_seconds(answer: httpx.Response | None, attempt: int) -> float:
    """What the service asks for, else twice as long each time; up to half as much again, so that clients spread out."""
    wait: float = min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (attempt - 1))
    asked = "" if answer is None else answer.headers.get("retry-after", "")
    if asked.isascii() and asked.isdigit():
        wait = max(wait, min(float(asked), TIMEOUT_SECONDS))
    return wait * random.uniform(1, 1.5)


def _problem(answer: httpx.Response) -> dict[str, Any]:
    """The members of a problem document; empty where the body is none."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
