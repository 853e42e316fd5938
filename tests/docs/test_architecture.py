"""The architecture page draws and names what the import contracts enforce."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from types import ModuleType
from xml.etree import ElementTree

import pytest

from tests.conftest import ROOT

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("drawn_architecture", ROOT / "docs" / "architecture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_diagram_has_the_layers_of_the_contracts() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    wanted = [name for layer in layers for name in re.split(r"\s*[|:]\s*", layer)]
    texts = ElementTree.parse(ROOT / "docs" / "architecture.svg").iter(f"{SVG}text")
    modules = [
        (float(text.get("y", 0)), float(text.get("x", 0)), text.text) for text in texts if text.get("class") == "module"
    ]
    assert [name for _, _, name in sorted(modules)] == wanted, "run python docs/architecture.py"
    assert all(
        (ROOT / name.replace(".", "/")).is_dir() or (ROOT / f"{name.replace('.', '/')}.py").exists() for name in wanted
    )


def test_the_diagram_is_as_it_is_drawn(drawing: ModuleType) -> None:
    assert drawing.DIAGRAM.read_text() == drawing.draw(), "run python docs/architecture.py"
