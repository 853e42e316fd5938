"""Every manifest is what the API server, or the controller it is for, accepts.

Kubernetes' own kinds are checked against its published schemas, unknown fields refused. The custom kinds (HTTPRoute,
ServiceMonitor, PrometheusRule, InferenceService) are checked against schemas/, which list the fields that these
manifests may use; the API server has rules beyond both (CEL, admission), which only a cluster can check.
"""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.deploy.conftest import rendered
from tests.deploy.manifests import COMPONENTS, KUBERNETES, VARIANTS, Manifest, kserve, render_with

SCHEMAS = Path(__file__).parent / "schemas"
OLDEST = "1.29"
NEWEST = kubernetes_validate.latest_version()
POD_FIELDS = frozenset(
    {"automountServiceAccountToken", "containers", "enableServiceLinks", "securityContext", "volumes"}
    | {"terminationGracePeriodSeconds"}
)


def check(manifest: Manifest, version: str) -> None:
    schema = SCHEMAS / f"{manifest['kind']}.json"
    if schema.exists():
        jsonschema.validate(manifest, json.loads(schema.read_text()))
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("folder", ["overlays/both", "overlays/canary"])
def test_what_is_applied_is_valid(folder: str, version: str) -> None:
    """These two overlays hold everything that the others do."""
    manifests = rendered(folder)
    assert manifests
    for manifest in manifests:
        check(manifest, version)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_component_fits_every_variant(variant: str, tmp_path: Path) -> None:
    for manifest in render_with(tmp_path, variant, COMPONENTS):
        check(manifest, NEWEST)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_inference_service_is_valid_and_so_is_the_pod_it_asks_for(variant: str) -> None:
    manifest = kserve(variant)
    check(manifest, NEWEST)
    spec = {key: value for key, value in manifest["spec"]["predictor"].items() if key in POD_FIELDS}
    assert spec.keys() == POD_FIELDS
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "predictor"}, "spec": spec}
    kubernetes_validate.validate(pod, NEWEST, strict=True)


def test_nothing_is_left_out_of_any_kustomization() -> None:
    """Every file of a folder with a kustomization is named in it."""
    for path in KUBERNETES.rglob("kustomization.yaml"):
        text = path.read_text()
        for file in path.parent.iterdir():
            if file.is_file() and file != path:
                assert file.name in text, f"{file} is in no kustomization"


def test_a_field_that_does_not_exist_is_noticed() -> None:
    """The checks above do refuse: the name of one field of each manifest is misspelt."""
    for manifest in rendered("overlays/both"):
        key = next((key for key in manifest if key not in ("apiVersion", "kind", "metadata")), None)
        if key is None:
            continue  # a Namespace has nothing else
        broken = {name + "x" if name == key else name: value for name, value in manifest.items()}
        with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
            check(yaml.safe_load(yaml.safe_dump(broken)), NEWEST)
