"""One suite, two variants, or any URL: a test body never asks which one it got."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import VARIANTS, Server, running


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "variant" in metafunc.fixturenames:
        given = metafunc.config.getoption("--base-url")
        metafunc.parametrize("variant", ["given-url"] if given else VARIANTS, scope="session")


@pytest.fixture(scope="session")
def server(
    variant: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    default_model: Path,
) -> Iterator[Server]:
    """The service under test, started once for the whole suite."""
    given = request.config.getoption("--base-url")
    if given:
        yield Server(given.rstrip("/"), None, None)
        return
    with running(variant, tmp_path_factory.mktemp(variant), "--model", str(default_model)) as started:
        yield started


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as connected:
        yield connected
