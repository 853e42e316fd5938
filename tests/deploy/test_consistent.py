"""What one manifest says of another, of the image, or of the services, is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared import __version__
from shared.contract import routes
from shared.serving.settings import PREFIX, Settings
from tests.deploy.conftest import rendered
from tests.deploy.manifests import (
    COMPONENTS,
    KUBERNETES,
    ROOT,
    VARIANTS,
    Manifest,
    environment,
    kserve,
    of_kind,
    one,
    pods,
    render_with,
    selects,
    server,
)

STOP_SECONDS = 10.0
"""What the service may take to stop once drain and deadline are over (README, Settings)."""
MARGIN_SECONDS = 5.0
PORTS = {"fastapi": 8000, "bento": 3000}
IMAGE = re.compile(r"^\s*-?\s*image: (\S+)|newName: (\S+)", re.MULTILINE)


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


def labels(manifest: Manifest) -> dict[str, str]:
    found: dict[str, str] = manifest["metadata"]["labels"]
    return found


def settings_of(variables: dict[str, str]) -> Settings:
    """The settings that the service would read; a name that is none, or a value that is refused, fails."""
    ours = {name: value for name, value in variables.items() if name.startswith(PREFIX)}
    fields = {name.removeprefix(PREFIX).lower(): value for name, value in ours.items()}
    assert fields.keys() <= Settings.model_fields.keys(), "settings that do not exist"
    return Settings.model_validate(fields)


def check_pod(spec: dict[str, Any], container: dict[str, Any], settings: Settings) -> None:
    """Probes and drain of one pod, whoever starts it."""
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] == routes.LIVEZ
    assert container["readinessProbe"]["httpGet"]["path"] == routes.READYZ
    assert {routes.LIVEZ, routes.READYZ} <= routes.PROBES
    (port,) = container["ports"]
    assert port["containerPort"] == settings.port
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in (port.get("name"), port["containerPort"])

    # SIGTERM, the drain, the last request's deadline, the stop: and only then may the kubelet kill.
    needed = settings.drain_seconds + settings.deadline_seconds + STOP_SECONDS + MARGIN_SECONDS
    assert spec["terminationGracePeriodSeconds"] >= needed
    assert "lifecycle" not in container, "the service drains by itself: a preStop would only take of the grace period"
    # Readiness is seen to be lost, and believed by everyone, well within the drain.
    ready = container["readinessProbe"]
    assert ready["periodSeconds"] * ready["failureThreshold"] + ready["timeoutSeconds"] < settings.drain_seconds
    # The service's watchdog replaces a hanging worker before the kubelet kills the pod with all of its workers.
    live = container["livenessProbe"]
    assert live["periodSeconds"] * live["failureThreshold"] > settings.hang_seconds + STOP_SECONDS
    assert settings.host == "0.0.0.0"
    assert spec["enableServiceLinks"] is False, "a Service named twinscore would set TWINSCORE_PORT=tcp://..."


def test_probes_ports_and_drain_fit_together(applied: list[Manifest]) -> None:
    for pod in pods(applied):
        check_pod(pod["spec"], server(pod), settings_of(environment(applied, pod)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_settings_and_probes_of_every_component(variant: str, tmp_path: Path) -> None:
    manifests = render_with(tmp_path, variant, COMPONENTS)
    (pod,) = pods(manifests)
    settings = settings_of(environment(manifests, pod))
    check_pod(pod["spec"], server(pod), settings)
    assert {server(pod)[probe]["httpGet"]["scheme"] for probe in ("startupProbe", "readinessProbe")} == {"HTTPS"}
    mounts = {mount["mountPath"] for mount in server(pod)["volumeMounts"]}
    for file in (settings.api_keys_file, settings.tls_cert_file, settings.tls_key_file):
        assert file is not None
        assert str(file.parent) in mounts
    assert settings.backend == "cuda"
    (endpoint,) = one(manifests, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["scheme"] == "https"
    assert endpoint["authorization"]["type"] == "Bearer"


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_variant_listens_where_it_says(variant: str) -> None:
    manifests = rendered(f"variants/{variant}")
    (pod,) = pods(manifests)
    assert settings_of(environment(manifests, pod)).port == PORTS[variant]


def test_pods_are_restricted(applied: list[Manifest]) -> None:
    """The Pod Security Standard `restricted`, and a read-only root besides."""
    for pod in pods(applied):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in [*spec["containers"], *spec.get("initContainers", ())]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
        assert {"name": "tmp", "mountPath": "/tmp"} in server(pod)["volumeMounts"]
        assert all(volume.keys() & {"emptyDir", "secret"} for volume in spec["volumes"])
    for account in of_kind(applied, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_selectors_find_the_pods_of_their_own_deployment(applied: list[Manifest]) -> None:
    deployments = {manifest["metadata"]["name"]: manifest for manifest in of_kind(applied, "Deployment")}
    assert deployments
    for name, deployment in deployments.items():
        spec = deployment["spec"]
        own = spec["template"]["metadata"]["labels"]
        assert selects(spec["selector"]["matchLabels"], own)
        for constraint in spec["template"]["spec"]["topologySpreadConstraints"]:
            assert constraint["labelSelector"]["matchLabels"] == spec["selector"]["matchLabels"]
        (account,) = [a for a in of_kind(applied, "ServiceAccount") if a["metadata"]["name"] == name]
        assert spec["template"]["spec"]["serviceAccountName"] == account["metadata"]["name"]
        for kind, path in (("Service", None), ("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
            manifest = next(m for m in of_kind(applied, kind) if m["metadata"]["name"] == name)
            selector = manifest["spec"]["selector"] if path is None else manifest["spec"][path]["matchLabels"]
            found = [
                other
                for other, m in deployments.items()
                if selects(selector, m["spec"]["template"]["metadata"]["labels"])
            ]
            assert found == [name], f"{kind} {name} selects {found}"
    for scaler in of_kind(applied, "HorizontalPodAutoscaler"):
        assert scaler["spec"]["scaleTargetRef"] == {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": scaler["metadata"]["name"],
        }
        assert scaler["metadata"]["name"] in deployments
    assert len(of_kind(applied, "HorizontalPodAutoscaler")) == len(deployments)


def test_services_and_policies_name_a_port_that_the_pods_have(applied: list[Manifest]) -> None:
    names = {port["name"] for pod in pods(applied) for port in server(pod)["ports"]}
    assert names == {"http"}
    for service in of_kind(applied, "Service"):
        assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]
    for policy in of_kind(applied, "NetworkPolicy"):
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        for rule in policy["spec"].get("ingress", ()):
            assert {port["port"] for port in rule["ports"]} <= names


def test_peers_of_the_network_policies_are_other_applications(applied: list[Manifest]) -> None:
    """kustomize adds our labels to every `matchLabels` it finds, in peers too, where they would match nothing."""
    for policy in of_kind(applied, "NetworkPolicy"):
        rules = [*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())]
        for peer in [peer for rule in rules for peer in rule.get("from", rule.get("to"))]:
            for selector in peer.values():
                assert "app.kubernetes.io/name" not in str(selector)


@pytest.mark.parametrize("folder", ["overlays/both", "overlays/canary"])
def test_the_route_splits_between_services_that_exist(folder: str) -> None:
    manifests = rendered(folder)
    services = {s["metadata"]["name"]: s["spec"]["ports"][0]["port"] for s in of_kind(manifests, "Service")}
    route = one(manifests, "HTTPRoute")
    (rule,) = route["spec"]["rules"]
    assert {ref["name"]: ref["port"] for ref in rule["backendRefs"]} == services
    assert len(services) == 2
    assert sum(ref["weight"] for ref in rule["backendRefs"]) == 100
    assert {match["path"]["value"] for match in rule["matches"]} == {routes.SCORE, routes.SCORE_BATCH}
    for pod in pods(manifests):
        deadline = settings_of(environment(manifests, pod)).deadline_seconds
        assert seconds(rule["timeouts"]["request"]) > deadline, "the gateway would cut off the service's own 504"


def test_the_canary_serves_another_model_package_with_the_same_image() -> None:
    manifests = rendered("overlays/canary")
    by_track = {pod["metadata"]["labels"]["app.kubernetes.io/instance"]: pod for pod in pods(manifests)}
    assert by_track.keys() == {"stable", "candidate"}
    assert server(by_track["stable"])["image"] == server(by_track["candidate"])["image"]
    assert PREFIX + "MODEL" not in environment(manifests, by_track["stable"])
    folder = Path(environment(manifests, by_track["candidate"])[PREFIX + "MODEL"])
    (init,) = by_track["candidate"]["spec"]["initContainers"]
    assert init["image"] == f"twinscore-model:{folder.name}", "tag and folder name the same version"
    mounts = {m["name"]: m["mountPath"] for m in server(by_track["candidate"])["volumeMounts"]}
    assert folder.is_relative_to(mounts["models"])
    assert init["command"][-1].rstrip("/") == mounts["models"]


def test_everything_applied_is_in_the_namespace() -> None:
    for folder in ("overlays/fastapi", "overlays/bento", "overlays/both", "overlays/canary"):
        manifests = rendered(folder)
        name = one(manifests, "Namespace")["metadata"]["name"]
        assert {m["metadata"]["namespace"] for m in manifests if m["kind"] != "Namespace"} == {name}


def test_images_are_those_of_this_version() -> None:
    """Every manifest names the same two images with this version's tag, and none floats."""
    seen = set()
    for folder in ("overlays/both", "overlays/canary"):
        seen |= {server(pod)["image"] for pod in pods(rendered(folder))}
    seen |= {kserve(variant)["spec"]["predictor"]["containers"][0]["image"] for variant in VARIANTS}
    assert seen == {f"twinscore-{variant}:{__version__}" for variant in VARIANTS}
    for path in KUBERNETES.rglob("*.yaml"):
        for image in (found for match in IMAGE.findall(path.read_text()) for found in match if found):
            assert image in ("twinscore", "twinscore-fastapi", "twinscore-bento", "twinscore-model"), f"{path}: {image}"


@pytest.mark.parametrize(
    ("variant", "dockerfile"), [("fastapi", "Dockerfile.fastapi"), ("bento", "deploy/docker/bento.Dockerfile.j2")]
)
def test_the_user_and_the_port_are_those_of_the_image(variant: str, dockerfile: str) -> None:
    (pod,) = pods(rendered(f"variants/{variant}"))
    text = (ROOT / dockerfile).read_text()
    context = pod["spec"]["securityContext"]
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == [f"{context['runAsUser']}:{context['runAsGroup']}"]
    assert re.findall(r"^EXPOSE (.+)$", text, re.MULTILINE) == [str(server(pod)["ports"][0]["containerPort"])]


@pytest.mark.parametrize("variant", VARIANTS)
def test_kserve_runs_the_same_pod_as_the_deployment(variant: str) -> None:
    manifests = rendered(f"variants/{variant}")
    (pod,) = pods(manifests)
    predictor = kserve(variant)["spec"]["predictor"]
    ours, theirs = server(pod), dict(predictor["containers"][0])
    check_pod(predictor, theirs, settings_of({entry["name"]: entry["value"] for entry in theirs["env"]}))
    assert {entry["name"]: entry["value"] for entry in theirs["env"]} == environment(manifests, pod)
    for field in ("image", "imagePullPolicy", "ports", "resources", "securityContext", "volumeMounts"):
        assert theirs[field] == ours[field], field
    for field in ("startupProbe", "readinessProbe", "livenessProbe"):
        named = yaml.safe_load(yaml.safe_dump(ours[field]))
        named["httpGet"]["port"] = PORTS[variant]
        assert theirs[field] == named
    for field in ("securityContext", "volumes", "terminationGracePeriodSeconds", "automountServiceAccountToken"):
        assert predictor[field] == pod["spec"][field], field
    scaler = one(manifests, "HorizontalPodAutoscaler")["spec"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (scaler["minReplicas"], scaler["maxReplicas"])
