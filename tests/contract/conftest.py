"""One suite, two variants, or any URL: a test body never asks which one it got."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.contract.errors import UserError
from shared.model.package import ModelPackage, load_package
from tests.conftest import ROOT, VARIANTS, Server, running


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "variant" in metafunc.fixturenames:
        given = metafunc.config.getoption("--base-url")
        metafunc.parametrize("variant", ["given-url"] if given else VARIANTS, scope="session")


@pytest.fixture(scope="session")
def server(
    variant: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """The service under test, started once for the whole suite."""
    given = request.config.getoption("--base-url")
    if given:
        yield Server(given.rstrip("/"), None, None)
        return
    default_model: Path = request.getfixturevalue("default_model")
    with running(variant, tmp_path_factory.mktemp(variant), "--model", str(default_model)) as started:
        yield started


@pytest.fixture(scope="session")
def package(request: pytest.FixtureRequest) -> ModelPackage:
    """The package that is served: the default one, or the one under `models/` that the given service names."""
    given = request.config.getoption("--base-url")
    if not given:
        default: ModelPackage = request.getfixturevalue("package")
        return default
    card = httpx.get(f"{given.rstrip('/')}/model", timeout=30).json()
    served = f"{card['name']} {card['version']} ({card['sha256'][:12]})"
    try:
        package = load_package(ROOT / "models" / card["name"] / card["version"], "xgboost")
    except UserError:
        pytest.skip(f"the given service serves {served}, which is not under models/: its rows are not known here")
    if package.manifest.sha256 != card["sha256"]:
        pytest.skip(f"the given service serves {served}; the package of that name under models/ is another")
    return package


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as connected:
        yield connected
