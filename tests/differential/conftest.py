"""Both variants at once, each in a process of its own, for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.conftest import VARIANTS, running
from tests.differential.outcome import Outcome, outcome

MAX_BODY_BYTES = 65536
IDLE_SECONDS = 0.3
PATIENT_SECONDS = 5.0


@dataclass(frozen=True)
class Both:
    """The two services.

    Attributes:
        urls: of each.
        features: of the model that both serve.
        pool: asks both at the same time.
    """

    urls: tuple[str, ...]
    features: int
    pool: ThreadPoolExecutor

    def agree(self, *pieces: bytes, methods: tuple[str, ...] = ("POST",)) -> Outcome:
        """Sends the same bytes to both, piece by piece, and fails on any difference.

        `methods` are those of the requests in them, which say how to read the answers; more answers than that are
        read as if to GET. Returns what both did.
        """
        outcomes = self._outcomes(pieces, methods, IDLE_SECONDS)
        if outcomes[0] != outcomes[1]:
            # One of them may only have been slow.
            outcomes = self._outcomes(pieces, methods, PATIENT_SECONDS)
        assert outcomes[0] == outcomes[1]
        return outcomes[0]

    def _outcomes(self, pieces: tuple[bytes, ...], methods: tuple[str, ...], idle_seconds: float) -> list[Outcome]:
        return list(self.pool.map(lambda url: outcome(url, pieces, methods, idle_seconds), self.urls))


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory, default_model: Path) -> Iterator[Both]:
    environment = {"TWINSCORE_MAX_BODY_BYTES": str(MAX_BODY_BYTES)}
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                running(
                    variant,
                    tmp_path_factory.mktemp(variant),
                    "--model",
                    str(default_model),
                    environment=environment,
                )
            )
            for variant in VARIANTS
        ]
        features = len(httpx.get(f"{servers[0].url}/model", timeout=30).json()["features"])
        pool = stack.enter_context(ThreadPoolExecutor(len(servers)))
        yield Both(tuple(server.url for server in servers), features, pool)
        # Whatever was sent, both still serve.
        for server in servers:
            assert httpx.get(f"{server.url}/readyz", timeout=30).status_code == 200
