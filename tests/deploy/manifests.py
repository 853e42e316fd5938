"""The manifests under `deploy/`, rendered by the real tool, and what is asked of them in several tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

Manifest = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
KSERVE = ROOT / "deploy" / "kserve"
VARIANTS = ("fastapi", "bento")
OVERLAYS = ("overlays/fastapi", "overlays/bento", "overlays/both", "overlays/canary")
RENDERED = ("variants/fastapi", "variants/bento", *OVERLAYS)
COMPONENTS = ("monitoring", "tracing", "api-keys", "tls", "model-image", "gpu")


def renderer() -> list[str]:
    """The command that renders a folder; skips where there is none that knows components and replacements.

    Debian 12's kubectl has kustomize 2, which does not.
    """
    for command, version in (
        (["kustomize", "build"], ["kustomize", "version"]),
        (["kubectl", "kustomize"], ["kubectl", "version", "--client", "-o", "json"]),
    ):
        if shutil.which(command[0]) is None:
            continue
        told = subprocess.run(version, capture_output=True, text=True, check=True).stdout
        if told.startswith("{"):
            told = json.loads(told).get("kustomizeVersion", "v2")
        if int(told.strip().lstrip("v").split(".")[0]) >= 5:
            return command
    pytest.skip("no kubectl or kustomize with kustomize 5 or newer")


def render(folder: Path) -> list[Manifest]:
    """What `kubectl apply -k FOLDER` would send."""
    done = subprocess.run([*renderer(), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def render_with(folder: Path, variant: str, components: tuple[str, ...]) -> list[Manifest]:
    """A variant with components, from a kustomization written into `folder`."""
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "twinscore",
        "resources": [os.path.relpath(KUBERNETES / "variants" / variant, folder)],
        "components": [os.path.relpath(KUBERNETES / "components" / name, folder) for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return render(folder)


def kserve(variant: str) -> Manifest:
    """The InferenceService of a variant."""
    manifest: Manifest = yaml.safe_load((KSERVE / f"{variant}.yaml").read_text())
    return manifest


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def one(manifests: list[Manifest], kind: str) -> Manifest:
    (found,) = of_kind(manifests, kind)
    return found


def pods(manifests: list[Manifest]) -> Iterator[Manifest]:
    """The pod templates of all Deployments: `metadata` and `spec`."""
    for deployment in of_kind(manifests, "Deployment"):
        yield deployment["spec"]["template"]


def server(pod: Manifest) -> Manifest:
    """The container that serves."""
    (found,) = pod["spec"]["containers"]
    return dict(found)


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return selector.items() <= labels.items()


def environment(manifests: list[Manifest], pod: Manifest) -> dict[str, str]:
    """The variables of the serving container: those of its ConfigMaps, then its own."""
    maps = {manifest["metadata"]["name"]: manifest["data"] for manifest in of_kind(manifests, "ConfigMap")}
    container = server(pod)
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= maps[source["configMapRef"]["name"]]
    return found | {entry["name"]: entry.get("value", "") for entry in container.get("env", ())}
