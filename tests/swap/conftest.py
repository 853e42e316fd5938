"""Services behind HAProxy, with a second version of the model to move to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.reliability import proxy
from shared.reliability.limits import raise_file_limit
from shared.reliability.load import Load, Tally
from shared.reliability.proxy import Proxy
from shared.reliability.requests import Request
from shared.reliability.second_model import write_second_version
from shared.reliability.services import Service

SECOND_VERSION = "1.0.1"
UP_SECONDS = 60.0


@pytest.fixture(scope="session", autouse=True)
def _haproxy() -> None:
    if not proxy.available():
        pytest.skip("HAProxy is not installed (Debian: apt-get install haproxy)")


@pytest.fixture(scope="session", autouse=True)
def _files() -> None:
    raise_file_limit()


@pytest.fixture(scope="session")
def second_model(default_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model's next version, with other probabilities for the same rows."""
    directory = tmp_path_factory.mktemp("models") / SECOND_VERSION
    write_second_version(default_model, SECOND_VERSION, directory)
    return directory


@dataclass
class Stage:
    """HAProxy, its services by name, and a load on it."""

    services: Mapping[str, Service]
    proxy: Proxy
    load: Load

    @property
    def tally(self) -> Tally:
        return self.load.tally

    async def until_up(self, *names: str) -> None:
        async with asyncio.timeout(UP_SECONDS):
            while not set(names) <= await self.proxy.up():
                await asyncio.sleep(0.05)

    async def until_down(self, name: str) -> None:
        async with asyncio.timeout(UP_SECONDS):
            while name in await self.proxy.up():
                await asyncio.sleep(0.05)

    async def answers(self, count: int) -> None:
        """Waits for that many more good answers."""
        goal = self.tally.good + count
        async with asyncio.timeout(UP_SECONDS):
            while self.tally.good < goal:
                await asyncio.sleep(0.02)

    async def only(self, name: str) -> None:
        """Moves all new requests to one service, and waits until no other has any."""
        await self.proxy.weights(**{other: 100 if other == name else 0 for other in self.services})
        async with asyncio.timeout(UP_SECONDS):
            while any([await self.proxy.serving(other) for other in self.services if other != name]):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def stage(
    services: Mapping[str, Service], requests: list[Request], started: list[str], *, connections: int = 16
) -> AsyncIterator[Stage]:
    """Starts the named services and the proxy of all, then the load; stops everything at the end."""
    front = Proxy([(name, service.port) for name, service in services.items()])
    load = Load("127.0.0.1", front.port, requests, connections=connections, pause=0.01, name="swap")
    built = Stage(services, front, load)
    try:
        await asyncio.gather(*(services[name].start() for name in started))
        await front.start()
        await built.until_up(*started)
        # HAProxy takes a server for up until its first checks have failed.
        await asyncio.gather(*(built.until_down(name) for name in services if name not in started))
        await load.start()
        yield built
    finally:
        await load.stop()
        front.close()
        for service in services.values():
            service.kill()
