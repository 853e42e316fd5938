"""A variant under attack, and how long the attack is.

`FUZZ_CASES=100000` makes a longer one of other cases; `FUZZ_SEED` repeats it.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.reliability.limits import raise_file_limit
from shared.reliability.services import Service
from tests.conftest import VARIANTS

LONG = os.environ.get("FUZZ_CASES")
CASES = int(LONG or 2500)
SEED = int(os.environ.get("FUZZ_SEED") or (random.randrange(2**32) if LONG else 1))

SETTINGS = {"TWINSCORE_DEADLINE_SECONDS": "2", "TWINSCORE_DRAIN_SECONDS": "0", "TWINSCORE_ACCESS_LOG": "false"}


@pytest.fixture(scope="module", params=VARIANTS)
def service(
    request: pytest.FixtureRequest, default_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A variant of its own for each module; whatever was sent, it still serves, and has logged no fault."""
    raise_file_limit()
    started = Service(request.param, default_model, tmp_path_factory.mktemp(request.param), environment=SETTINGS)
    try:
        asyncio.run(started.start())
        yield started
        assert httpx.get(f"{started.url}/readyz", timeout=30).status_code == 200
        assert server_errors(started) == {}
        assert "Traceback" not in started.log.read_text()
    finally:
        started.kill()


def server_errors(service: Service) -> dict[str, float]:
    """The series of answered 5xx that are neither 503 nor 504 and not zero."""
    return {
        name: value
        for name, value in service.metrics().items()
        if name.startswith("twinscore_http_requests_total") and 'status="5' in name and value
        if 'status="503"' not in name and 'status="504"' not in name
    }
