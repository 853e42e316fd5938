"""Writes the software bills of materials of the two serving profiles: `sbom/fastapi.cdx.json` and `sbom/bento.cdx.json`.

CycloneDX 1.6. What is locked, and the hashes of its files, comes from `requirements/<profile>.txt`; licences and who
needs whom come from the packages installed in this environment, which must be the locked ones (`make setup`, Python
3.11). The same locks give the same bytes: no times, no serial numbers, no addresses of indexes, no paths.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from email.message import Message
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Json = dict[str, Any]

ROOT: Final = Path(__file__).resolve().parents[1]
EXTRAS: Final = {"fastapi": ("fastapi", "otlp"), "bento": ("bento", "otlp")}
"""The extras of pyproject.toml that each profile's lock was compiled from."""

MARKER: Final = "twinscore:environment-marker"
"""Property of a component that is installed only where the marker (PEP 508) holds."""

SWAGGER_UI: Final = ROOT / "shared" / "contract" / "docs" / "swagger-ui-bundle.js"


def canonical(name: str) -> str:
    """The normalised name (PEP 503), as the locks spell it."""
    return str(canonicalize_name(name))


def cyclonedx(*arguments: str) -> Json:
    """What `cyclonedx-py` makes of `arguments`."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "bom.json"
        command = [sys.executable, "-m", "cyclonedx_py", *arguments, "--output-reproducible", "--no-validate"]
        subprocess.run([*command, "-o", str(out)], cwd=ROOT, check=True, stderr=subprocess.PIPE)
        bom: Json = json.loads(out.read_text())
    return bom


def locked(profile: str) -> Iterator[Json]:
    """The components of a lock, each with its hashes and, where it has one, its marker."""
    for component in cyclonedx("requirements", f"requirements/{profile}.txt")["components"]:
        line = str(component["description"]).split(": ", 1)[1]
        requirement = Requirement(re.split(r"\s+--hash", line)[0])
        hashes = [found for reference in component["externalReferences"] for found in reference.get("hashes", ())]
        yield {
            "type": "library",
            "bom-ref": component["purl"],
            "name": canonical(component["name"]),
            "version": component["version"],
            "purl": component["purl"],
            "hashes": sorted(hashes, key=lambda found: str(found["content"])),
            **({"properties": [{"name": MARKER, "value": str(requirement.marker)}]} if requirement.marker else {}),
        }


class Installed:
    """What this environment tells of the packages in it."""

    def __init__(self) -> None:
        bom = cyclonedx("environment", sys.executable)
        refs = {component["bom-ref"]: component for component in bom["components"]}
        self._found = {(canonical(c["name"]), c["version"]): c for c in refs.values()}
        self._needs = {
            found["ref"]: sorted({canonical(refs[ref]["name"]) for ref in found.get("dependsOn", ())})
            for found in bom["dependencies"]
        }

    def licenses(self, name: str, version: str) -> list[Json]:
        """As the package declares them; none where another version, or no version, is installed."""
        found = self._found.get((name, version))
        if found is None:
            return []
        if found.get("licenses"):
            licenses: list[Json] = found["licenses"]
            return licenses
        declared = cast(Message, importlib.metadata.metadata(name)).get("License")
        return [{"license": {"name": declared, "acknowledgement": "declared"}}] if declared else []

    def needs(self, name: str, version: str) -> list[str] | None:
        """The names of what a package depends on; None where that is not known."""
        found = self._found.get((name, version))
        return None if found is None else self._needs.get(found["bom-ref"])


def swagger_ui() -> Json:
    """The one piece of software that is in this repository itself."""
    source = SWAGGER_UI.read_bytes()
    match = re.search(rb'PACKAGE_VERSION:"([^"]+)"', source)
    assert match is not None, f"{SWAGGER_UI} does not tell its version"
    purl = f"pkg:npm/swagger-ui-dist@{match[1].decode()}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": "swagger-ui-dist",
        "version": match[1].decode(),
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(source).hexdigest()}],
        "licenses": [{"license": {"id": "Apache-2.0", "acknowledgement": "declared"}}],
    }


def bill(profile: str, installed: Installed) -> Json:
    """The bill of materials of one profile."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = importlib.import_module("shared").__version__
    components = [*locked(profile), swagger_ui()]
    refs: dict[str, list[str]] = {}
    for component in components:
        refs.setdefault(component["name"], []).append(component["bom-ref"])
        if licenses := installed.licenses(component["name"], component["version"]):
            component["licenses"] = licenses

    def references(names: Iterable[str]) -> list[str]:
        return sorted({ref for name in names for ref in refs.get(name, ())})

    wanted = list(project["dependencies"])
    for extra in EXTRAS[profile]:
        wanted += project["optional-dependencies"][extra]
    root = f"pkg:generic/twinscore@{version}"
    direct = references(canonical(Requirement(line).name) for line in wanted)
    graph = [{"ref": root, "dependsOn": sorted([*direct, *refs["swagger-ui-dist"]])}]
    for component in components:
        needs = installed.needs(component["name"], component["version"])
        if needs is not None:
            graph.append({"ref": component["bom-ref"], "dependsOn": references(needs)})
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "twinscore",
                "version": version,
                "purl": root,
                "description": f"The {profile} profile: {project['description']}",
                "licenses": [{"license": {"id": project["license"], "acknowledgement": "declared"}}],
            },
            "properties": [{"name": "cdx:reproducible", "value": "true"}],
            "tools": {
                "components": [
                    {
                        "type": "application",
                        "group": "CycloneDX",
                        "name": "cyclonedx-py",
                        "version": importlib.metadata.version("cyclonedx-bom"),
                    }
                ]
            },
        },
        "components": sorted(components, key=lambda component: str(component["bom-ref"])),
        "dependencies": sorted(graph, key=lambda node: str(node["ref"])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "sbom", help="folder to write to")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(ROOT))
    installed = Installed()
    for profile in EXTRAS:
        text = json.dumps(bill(profile, installed), indent=1, ensure_ascii=False) + "\n"
        (out / f"{profile}.cdx.json").write_text(text)


if __name__ == "__main__":
    main()
