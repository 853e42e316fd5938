"""From one version of the model to the next, new processes beside the old; a bad package changes nothing."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

import pytest

from shared.model.manifest import read_manifest
from shared.model.package import ModelPackage
from shared.reliability.load import until
from shared.reliability.requests import single_rows
from shared.reliability.services import Service
from tests.conftest import VARIANTS, copy_with_a_wrong_golden_row
from tests.swap.conftest import SECOND_VERSION, stage


@pytest.fixture
def truncated(second_model: Path, tmp_path: Path) -> Path:
    """A package whose model file was cut short when it was copied."""
    directory = tmp_path / "truncated"
    shutil.copytree(second_model, directory)
    file = directory / "model.ubj"
    file.write_bytes(file.read_bytes()[:-20])
    return directory


@pytest.fixture
def wrong(second_model: Path, tmp_path: Path) -> Path:
    """A package whose digests are right and whose model does not answer the golden rows as it says."""
    return copy_with_a_wrong_golden_row(second_model, tmp_path / "wrong")


@pytest.mark.parametrize("variant", VARIANTS)
def test_from_one_version_to_the_next(
    variant: str,
    default_model: Path,
    second_model: Path,
    package: ModelPackage,
    truncated: Path,
    wrong: Path,
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        services = {
            "old": Service(variant, default_model, tmp_path),
            "truncated": Service(variant, truncated, tmp_path),
            "wrong": Service(variant, wrong, tmp_path),
            "next": Service(variant, second_model, tmp_path),
        }
        requests = single_rows(package.manifest, read_manifest(second_model))
        async with stage(services, requests, ["old"]) as built:
            for name, reason in (("truncated", "model.ubj"), ("wrong", "golden row")):
                services[name].begin()
                await until(lambda: reason in services[name].log.read_text(), 60, f"{name} says why")  # noqa: B023
                assert await built.proxy.up() == {"old"}
                services[name].kill()
            await built.answers(100)
            assert set(built.tally.versions) == {package.manifest.version}

            await services["next"].start()
            await built.until_up("old", "next")
            await built.answers(100)
            services["old"].signal(signal.SIGTERM)
            assert await services["old"].stopped() == 0
            old = built.tally.versions[package.manifest.version]
            await built.answers(100)
            assert built.tally.versions[package.manifest.version] == old
            assert built.tally.versions[SECOND_VERSION] >= 100
        # Every answer was checked against the probabilities of the version that it names.
        assert built.tally.failed == [], built.proxy.log
        assert built.tally.good == built.tally.sent

    asyncio.run(scenario())
