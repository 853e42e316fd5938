"""Thousands of hostile requests by a seeded grammar: no 5xx, no hang, and nothing grows."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest

from shared.contract import routes
from shared.reliability.attack import attack
from shared.reliability.hostile import Case, Grammar
from shared.reliability.services import Service
from tests.fuzz.conftest import CASES, SEED, server_errors

WARM_UP_CASES = 500
MAX_GROWTH_MB = 24.0
"""Allocators and caches settle; a leak of 300 bytes a request would show in a long run."""

ROUTE_LABELS = {*routes.ROUTES, routes.DOCS_FILES + "{file}", "extension", "other"}
MAX_SERIES = 5000
"""Every method, route and status there is, with the buckets of each duration."""


@pytest.mark.timeout(36_000)
def test_hostile_requests(service: Service, record_property: pytest.RecordProperty) -> None:
    features = len(httpx.get(f"{service.url}/model", timeout=30).json()["features"])

    def run(seed: int, count: int) -> list[Case]:
        report = asyncio.run(attack("127.0.0.1", service.port, Grammar(seed, features).cases(count)))
        assert report.sent == count
        record_property("statuses", dict(report.statuses))
        record_property("slowest_probe", report.slowest_probe)
        return report.server_errors + report.unanswered

    assert run(SEED + 1, WARM_UP_CASES) == []
    memory = service.memory()
    assert run(SEED, CASES) == [], f"FUZZ_SEED={SEED}"
    record_property("memory", (memory, service.memory()))
    assert service.memory() - memory < MAX_GROWTH_MB
    assert server_errors(service) == {}
    # Random paths and methods have no series of their own.
    series = service.metrics()
    assert {label for name in series for label in re.findall(r'route="([^"]*)"', name)} <= ROUTE_LABELS
    assert len(series) < MAX_SERIES
