"""One row at a time to `POST /score`, sent again where the contract allows it."""

from __future__ import annotations

import http.client
import json
import random
import ssl
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.contract import routes
from shared.contract.errors import UserError

RETRIED = (429, 502, 503, 504)
"""The contract's refusals of load and of time, and what a proxy answers while traffic moves."""

GIVE_UP_SECONDS = 60.0
FIRST_WAIT_SECONDS = 0.05
MAX_WAIT_SECONDS = 2.0
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service said of one row, and how often it had to be asked again."""

    probability: float
    model_version: str
    retries: int


class Connection:
    """A connection to one service, kept open; for one thread.

    Args:
        url: the service's base.
        api_key: sent as a bearer token.
        stopped: set to end every wait at once.
    """

    def __init__(self, url: str, api_key: str | None, stopped: threading.Event) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port
        self._path = parts.path + routes.SCORE
        self._headers = {"content-type": "application/json"}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._stopped = stopped
        self._http: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._http = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
        else:
            self._http = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)

    def close(self) -> None:
        self._http.close()

    def score(self, body: bytes) -> Answer:
        """The answer to a request body.

        Raises:
            UserError: the service refuses the request, or cannot be used for `GIVE_UP_SECONDS`.
        """
        until = time.monotonic() + GIVE_UP_SECONDS
        retries = 0
        while True:
            wait = min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0**retries)
            try:
                self._http.request("POST", self._path, body, self._headers)
                response = self._http.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                self._http.close()
                reason = f"{type(error).__name__}: {error}"
            else:
                if response.status == 200:
                    return self._answer(content, retries)
                if response.status not in RETRIED:
                    raise self._refusal(response.status, content)
                reason = f"it answers {response.status}"
                asked = response.getheader("retry-after", "")
                if asked.isascii() and asked.isdigit():
                    wait = max(wait, float(asked))
            if time.monotonic() + wait > until or self._stopped.wait(wait * random.uniform(1, 1.5)):
                raise UserError(f"{self.url} cannot be used, tried {retries + 1} times: {reason}; start it again")
            retries += 1

    def _answer(self, content: bytes, retries: int) -> Answer:
        try:
            match json.loads(content):
                case {"probability": float() | int() as probability, "model_version": str() as version}:
                    return Answer(float(probability), version, retries)
        except ValueError:
            pass
        raise UserError(f"{self.url}{routes.SCORE} answers no probability: is it a Twinscore service?")

    def _refusal(self, status: int, content: bytes) -> UserError:
        if status == 401:
            return UserError(f"{self.url} wants an API key it knows: give --api-key or set TWINSCORE_API_KEY")
        try:
            match json.loads(content):
                case {"detail": str(detail), "request_id": str(request_id)}:
                    return UserError(f"{self.url} answers {status}: {detail} (request id {request_id})")
        except ValueError:
            pass
        return UserError(f"{self.url} answers {status}: is it a Twinscore service?")
