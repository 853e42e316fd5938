"""The files that images and the stack are made from, checked without an engine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.measure.images import BEGIN, END
from shared.reliability.ports import free_port
from tests.conftest import ROOT, StartServer, make_certificate

BIN = Path(sys.executable).parent
HEALTHCHECK = ROOT / "deploy" / "docker" / "healthcheck.py"
OVERRIDE = "deploy/compose/host-network.yml"
SERVING = ("fastapi", "bento")


def checked(*command: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Runs a command from the root of the checkout and returns what it prints; it must succeed."""
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compose(*files: str) -> dict[str, Any]:
    """The stack as Compose reads it, with defaults for every variable."""
    names = [part for file in ("docker-compose.yml", *files) for part in ("-f", file)]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    read: dict[str, Any] = yaml.safe_load(checked(BIN / "docker-compose", *names, "config", environment=environment))
    return read


def test_the_dockerfiles_are_sound() -> None:
    for dockerfile in (
        *("Dockerfile.fastapi", "deploy/kubernetes/model-image/Dockerfile"),
        *("deploy/measure/naive.Dockerfile", "tests/images/haproxy.Dockerfile"),
    ):
        checked(BIN / "hadolint", dockerfile)


def test_the_template_of_the_bento_is_sound(tmp_path: Path) -> None:
    """Rendered as BentoML does, with the base image it would name."""
    from jinja2 import Template

    rendered = tmp_path / "Dockerfile"
    template = (ROOT / "deploy" / "docker" / "bento.Dockerfile.j2").read_text()
    rendered.write_text(Template(template).render(__base_image__="python:3.11-slim"))
    checked(BIN / "hadolint", rendered)


def test_the_scripts_are_sound() -> None:
    scripts = [
        path for path in (ROOT / "deploy" / "docker").iterdir() if path.is_file() and path.read_text().startswith("#!")
    ]
    assert {path.name for path in scripts} == {"build.sh", "prune.sh", "twinscore"}
    scripts += [ROOT / ".ci" / "run", ROOT / "requirements" / "lock.sh"]
    checked(BIN / "shellcheck", *scripts)
    for path in scripts:
        assert os.access(path, os.X_OK), path


def test_the_readme_has_the_figures_of_the_page() -> None:
    """Which `deploy/measure/images.py --write` puts there: size and least start of the same four images, in their order."""
    page = (ROOT / "docs" / "images.md").read_text().split(BEGIN)[1].split(END)[0]
    measured = re.findall(r"\| \**([\d,]+ MB)\** \| \**[\d.]+ s \(([\d.]+)\)", page)
    assert len(measured) == 4
    readme = (ROOT / "README.md").read_text()
    assert re.findall(r"\| \**([\d,]+ MB)\** \| ([\d.]+) s \|", readme) == measured


def test_nothing_but_what_is_copied_reaches_the_engine() -> None:
    """Every COPY finds its source, and all the rest (.git, .venv, tests, data) stays out."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = set()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile.fastapi").read_text(), re.MULTILINE):
        copied |= {source.rstrip("/").replace("model[s]", "models") for source in sources.split()}
    for source in copied:
        assert any(source == entry or source.startswith(f"{entry}/") for entry in allowed), source
    for entry in allowed:
        assert any(source == entry or source.startswith(f"{entry}/") for source in copied), f"{entry}: nobody copies it"


def test_all_services_are_hardened_and_bounded() -> None:
    services = compose()["services"]
    assert set(services) == {"fastapi", "bento", "proxy", "prometheus", "collector", "tempo", "grafana"}
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "privileged" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"]), name
        assert service["restart"] == "unless-stopped", name
        for port in service.get("ports", ()):
            assert port["host_ip"] == "127.0.0.1", name
        for volume in service.get("volumes", ()):
            if volume["type"] == "bind":
                assert volume["read_only"], name
                assert Path(volume["source"]).exists(), volume
        if name not in SERVING:
            assert re.search(r":v?\d+\.\d+\.\d+", service["image"]), f"{name}: no version in {service['image']}"


def test_the_proxy_waits_for_both_and_stops_before_them() -> None:
    services = compose()["services"]
    assert {name: entry["condition"] for name, entry in services["proxy"]["depends_on"].items()} == dict.fromkeys(
        SERVING, "service_healthy"
    )
    for name in SERVING:
        settings = services[name]["environment"]
        needed = int(settings["TWINSCORE_DRAIN_SECONDS"]) + int(settings["TWINSCORE_DEADLINE_SECONDS"]) + 10
        assert int(services[name]["stop_grace_period"].removesuffix("s")) >= needed


def test_with_the_host_network_no_port_is_published() -> None:
    services = compose(OVERRIDE)["services"]
    assert set(services) == {"fastapi", "bento", "proxy"}
    for service in services.values():
        assert service["network_mode"] == "host"
        assert "ports" not in service
    assert services["fastapi"]["environment"]["TWINSCORE_HOST"] == "127.0.0.1"


@pytest.mark.skipif(
    shutil.which("haproxy") is None, reason="HAProxy is not installed (Debian: apt-get install haproxy)"
)
def test_the_proxy_accepts_its_configuration() -> None:
    environment = {"PATH": os.environ["PATH"], "FASTAPI_ADDRESS": "127.0.0.1:8000", "BENTO_ADDRESS": "127.0.0.1:3000"}
    checked("haproxy", "-c", "-f", "deploy/haproxy/haproxy.cfg", environment=environment)


def asked(port: int, environment: Mapping[str, str] | None = None) -> int:
    command = [sys.executable, "-I", "-S", str(HEALTHCHECK), str(port)]
    return subprocess.run(command, env=environment or {}, capture_output=True, timeout=30, check=False).returncode


def test_the_health_check_follows_readiness(start_server: StartServer) -> None:
    server = start_server("fastapi", environment={"TWINSCORE_DRAIN_SECONDS": "30"})
    port = int(server.url.rpartition(":")[2])
    assert asked(port) == 0
    assert asked(1, {"TWINSCORE_HOST": "0.0.0.0", "TWINSCORE_PORT": str(port)}) == 0
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)
    while asked(port) == 0:
        assert server.process.poll() is None
    assert asked(port) == 1
    assert asked(free_port()) == 1


@pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed (Debian: apt-get install openssl)"
)
def test_the_health_check_speaks_tls(start_server: StartServer, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_certificate(certificate, key, "score.example.com")
    tls = {"TWINSCORE_TLS_CERT_FILE": str(certificate), "TWINSCORE_TLS_KEY_FILE": str(key)}
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "fastapi_service"],
        cwd=ROOT,
        env={**os.environ, **tls, "TWINSCORE_PORT": str(port), "TWINSCORE_DRAIN_SECONDS": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while asked(port, tls) != 0:
            assert server.poll() is None
        assert asked(port) == 1, "without TLS"
    finally:
        server.terminate()
        server.wait(30)
