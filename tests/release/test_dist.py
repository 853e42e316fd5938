"""The distributions hold what they should, and one is made from the other."""

from __future__ import annotations

import zipfile
from email.parser import Parser
from pathlib import Path

from shared import __version__
from tests.release.conftest import ROOT, Built, hatchling

PACKAGES = {"shared", "fastapi_service", "bento_service"}


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_packages_and_nothing_else(built: Built) -> None:
    assert built.wheel.name == f"twinscore-{__version__}-py3-none-any.whl"
    info = f"twinscore-{__version__}.dist-info"
    found = names(built.wheel)
    assert {name.split("/")[0] for name in found} == PACKAGES | {info}
    for name in PACKAGES:
        modules = {str(path.relative_to(ROOT)) for path in (ROOT / name).rglob("*.py")}
        assert modules <= found
    # What services and commands read beside code.
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "shared/contract/vectors").iterdir()} <= found
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "shared/contract/docs").iterdir()} <= found
    assert "shared/contract/docs/index.html" in found
    assert "shared/contract/vectors/protocol.json" in found
    assert f"{info}/licenses/LICENSE" in found


def test_the_wheel_tells_what_it_is(built: Built) -> None:
    info = f"twinscore-{__version__}.dist-info"
    with zipfile.ZipFile(built.wheel) as archive:
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        assert archive.read(f"{info}/entry_points.txt").decode().split() == [
            "[console_scripts]",
            "twinscore",
            "=",
            "shared.cli:main",
        ]
    assert metadata["Name"] == "twinscore"
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra", [])) == {"fastapi", "bento", "otlp", "train"}


def test_the_sdist_holds_what_is_needed_to_build_check_and_deploy(unpacked: Path) -> None:
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "Makefile",
        "Dockerfile.fastapi",
        "PKG-INFO",
    ):
        assert (unpacked / name).is_file(), name
    for name in ("requirements/fastapi.txt", "sbom/bento.cdx.json", "deploy/kubernetes/base/deployment.yaml"):
        assert (unpacked / name).is_file(), name
    for name in ("shared", "tests", "docs", "examples", "benchmarks"):
        assert (unpacked / name).is_dir(), name
    for name in ("models", ".venv", ".git", "dist"):
        assert not (unpacked / name).exists(), f"{name} is of one machine"
    assert not list(unpacked.rglob("__pycache__"))


def test_the_sdist_builds_the_same_wheel(built: Built, unpacked: Path, tmp_path: Path) -> None:
    hatchling(unpacked, tmp_path, "-t", "wheel")
    (again,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(built.wheel) as first, zipfile.ZipFile(again) as second:
        assert {name: first.read(name) for name in first.namelist()} == {
            name: second.read(name) for name in second.namelist()
        }
