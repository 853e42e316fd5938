"""Traffic moves from one variant to the other and back, and a variant stops and comes back: no request fails."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from shared.model.package import ModelPackage
from shared.reliability.requests import batches, single_rows
from shared.reliability.services import Service
from tests.swap.conftest import Stage, stage


async def there_and_back(built: Stage) -> None:
    for name in ("bento", "fastapi", "bento", "fastapi"):
        await built.only(name)
        before = built.services[name].metrics()["twinscore_probability_count"]
        other = next(service for key, service in built.services.items() if key != name)
        idle = other.metrics()["twinscore_probability_count"]
        await built.answers(200)
        await asyncio.sleep(0.2)  # what was counted is written every 50 ms
        assert built.services[name].metrics()["twinscore_probability_count"] >= before + 200
        assert other.metrics()["twinscore_probability_count"] == idle


async def drained_by_the_proxy(built: Stage) -> None:
    await built.proxy.weights(fastapi=100, bento=100)
    for name in built.services:
        await built.proxy.command(f"set server services/{name} state drain")
        await built.answers(100)
        await built.proxy.command(f"set server services/{name} state ready")
        await built.answers(100)


async def stopped_and_started(built: Stage) -> None:
    """The proxy is told nothing: it sees /readyz fail."""
    await built.proxy.weights(fastapi=100, bento=100)
    for name, service in built.services.items():
        service.signal(signal.SIGTERM)
        await built.until_down(name)
        assert await service.stopped() == 0
        await built.answers(100)
        await service.start()
        await built.until_up(name)
        await built.answers(100)


def test_nothing_fails(default_model: Path, package: ModelPackage, tmp_path: Path) -> None:
    async def scenario() -> None:
        services = {name: Service(name, default_model, tmp_path) for name in ("fastapi", "bento")}
        requests = single_rows(package.manifest) + batches([1, 16, 300], package.manifest)
        async with stage(services, requests, list(services)) as built:
            for move in (there_and_back, drained_by_the_proxy, stopped_and_started):
                await move(built)
        assert built.tally.failed == [], built.proxy.log
        assert built.tally.refused == {}
        assert built.tally.good == built.tally.sent

    asyncio.run(scenario())
