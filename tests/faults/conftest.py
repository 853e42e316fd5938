"""Services to hurt, and what every test here asks of them afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from shared.reliability.services import Service


def eventually(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Waits until the condition holds; fails when it does not."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds:g} s"
        time.sleep(0.05)


def in_flight(service: Service) -> float:
    return service.metrics()["twinscore_http_requests_in_flight"]


def scores(service: Service, features: list[float | None], timeout: float = 30.0) -> int:
    """The status of one request."""
    return httpx.post(f"{service.url}/score", json={"features": features}, timeout=timeout).status_code
