"""`twinscore serve`: what starts stops, whole, and what cannot start says why in one line."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from shared.model.package import ModelPackage
from shared.reliability.ports import free_port
from tests.conftest import ROOT, VARIANTS, Server, StartServer, copy_with_a_wrong_golden_row, port_is_free


def descendants(server: Server) -> list[psutil.Process]:
    assert server.process is not None
    return psutil.Process(server.process.pid).children(recursive=True)


def golden_request(package: ModelPackage) -> dict[str, list[float | None]]:
    return {"features": package.manifest.golden.rows[0]}


def run_twinscore(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shared.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_signal_stops_every_process_and_frees_the_port(variant: str, number: int, start_server: StartServer) -> None:
    server = start_server(variant, "--workers", "2")
    family = descendants(server)
    assert len(family) >= 3
    assert server.stop(number) == 0
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
    assert port_is_free(int(server.url.rpartition(":")[2]))


@pytest.mark.parametrize("variant", VARIANTS)
def test_workers_answer_alike_and_their_metrics_are_summed(
    variant: str, start_server: StartServer, package: ModelPackage
) -> None:
    server = start_server(variant, "--workers", "2")
    answers = set()
    for _ in range(40):
        # A connection of its own each time, so that both workers get some.
        answers.add(httpx.post(f"{server.url}/score", json=golden_request(package)).text)
    assert len(answers) == 1
    assert counted(server, 'http_requests_total{method="POST",route="/score",status="200"}', at_least=40) == 40
    assert counted(server, "ready") == 1


def counted(server: Server, series: str, at_least: float = 0) -> float:
    """The value of a series, read until the workers have written what they counted."""
    value = -1.0
    for _ in range(100):
        lines = httpx.get(f"{server.url}/metrics").text.splitlines()
        value = next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"twinscore_{series} "))
        if value >= at_least:
            break
    return value


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_taken_port_is_named(variant: str, default_model: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run_twinscore("serve", variant, "--port", str(port), "--model", str(default_model))
    assert result.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("TWINSCORE_PORT", "http"),
        ("TWINSCORE_PORT", "70000"),
        ("TWINSCORE_PORT", "\N{SUPERSCRIPT TWO}"),
        ("TWINSCORE_HANG_SECONDS", "1e-9"),
        ("TWINSCORE_WORKERS", "0"),
        ("TWINSCORE_BATCHER", "magic"),
        ("TWINSCORE_DEADLINE_SECONDS", "-1"),
        ("TWINSCORE_BACKEND", "tpu"),
        ("TWINSCORE_MODEL", "/nowhere/at/all"),
    ],
)
def test_a_bad_setting_is_one_line_and_exit_code_2(variant: str, setting: str, value: str) -> None:
    result = run_twinscore("serve", variant, **{setting: value})
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert (setting in result.stderr) or (value in result.stderr)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_backend_this_machine_cannot_run_stops_the_start_with_one_line(variant: str, default_model: Path) -> None:
    from shared.model.predictor import cuda_available

    if cuda_available():
        pytest.skip("this machine can run it")
    result = run_twinscore("serve", variant, "--model", str(default_model), TWINSCORE_BACKEND="cuda")
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "CUDA" in result.stderr


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["model.ubj", "model.onnx", "manifest.json"])
def test_a_damaged_package_stops_the_start_with_one_line(
    variant: str, name: str, default_model: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(default_model, damaged)
    (damaged / name).write_bytes((damaged / name).read_bytes()[:-20])
    result = run_twinscore("serve", variant, "--model", str(damaged))
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert name in result.stderr


def test_a_misspelt_setting_is_told(start_server: StartServer) -> None:
    misspelt = {"TWINSCORE_MAX_INFLIGHT": "1", "TWINSCORE_SERVICE_HOST": "10.0.0.1", "TWINSCORE_PORT_8000_TCP": "x"}
    told = "TWINSCORE_MAX_INFLIGHT is no setting and changes nothing; TWINSCORE_MAX_IN_FLIGHT is one"
    server = start_server("fastapi", environment=misspelt)
    assert server.log is not None
    assert told in server.log.read_text()
    shown = run_twinscore("settings", **misspelt)
    assert shown.stderr.splitlines() == [told]


def test_both_on_ports_of_ones_choice(default_model: Path, package: ModelPackage) -> None:
    ports = {"fastapi": free_port(), "bento": free_port()}
    options = [part for variant, port in ports.items() for part in (f"--{variant}-port", str(port))]
    command = [sys.executable, "-m", "shared.cli", "serve", "both", "--model", str(default_model), "--smoke", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Press Ctrl-C" in line:
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    for port in ports.values():
        assert any(f"http://127.0.0.1:{port}/score -> 200" in line for line in lines), lines
    assert process.returncode == 0
    refused = run_twinscore("serve", "fastapi", "--bento-port", "1")
    assert refused.returncode == 2
    assert "give --port for fastapi" in refused.stderr
    alike = run_twinscore("serve", "both", "--fastapi-port", "3000")
    assert alike.returncode == 2
    assert "both services cannot listen on 3000" in alike.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_file_that_is_no_certificate_stops_the_start_with_one_line(
    variant: str, workers: str, default_model: Path
) -> None:
    files = {"TWINSCORE_TLS_CERT_FILE": "README.md", "TWINSCORE_TLS_KEY_FILE": "README.md"}
    result = run_twinscore("serve", variant, "--model", str(default_model), "--workers", workers, **files)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "TWINSCORE_TLS_CERT_FILE=README.md" in result.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_model_that_answers_otherwise_than_it_says_is_told_without_a_traceback(
    variant: str, workers: str, default_model: Path, tmp_path: Path
) -> None:
    wrong = copy_with_a_wrong_golden_row(default_model, tmp_path / "wrong")
    port = str(free_port())
    result = run_twinscore("serve", variant, "--model", str(wrong), "--workers", workers, "--port", port)
    assert result.returncode != 0
    assert "golden row" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("variant", [*VARIANTS, "both"])
def test_without_any_model_the_start_tells_what_to_do(variant: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "shared.cli", "serve", variant],
        cwd=tmp_path,
        env={**os.environ, "BENTOML_HOME": str(tmp_path / "bentoml")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "make model" in result.stderr


def test_fastapi_refuses_bentomls_batcher(default_model: Path) -> None:
    result = run_twinscore("serve", "fastapi", "--model", str(default_model), TWINSCORE_BATCHER="native")
    assert result.returncode == 2
    assert "native" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("batcher", ["eager", "native", "off"])
def test_every_batcher_of_bentoml_gives_the_same_answer(
    batcher: str, start_server: StartServer, package: ModelPackage
) -> None:
    server = start_server("bento", environment={"TWINSCORE_BATCHER": batcher})
    answer = httpx.post(f"{server.url}/score", json=golden_request(package)).json()
    assert abs(answer["probability"] - package.manifest.golden.probabilities[0]) <= 2e-6


@pytest.mark.parametrize("backend", ["xgboost", "onnxruntime"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_backend_serves(variant: str, backend: str, start_server: StartServer, package: ModelPackage) -> None:
    server = start_server(variant, environment={"TWINSCORE_BACKEND": backend})
    assert httpx.get(f"{server.url}/model").json()["backend"] == backend
    answer = httpx.post(f"{server.url}/score", json=golden_request(package)).json()
    assert abs(answer["probability"] - package.manifest.golden.probabilities[0]) <= 2e-6


def test_bentoml_serves_by_itself_from_its_store(tmp_path: Path, package: ModelPackage) -> None:
    """As a Bento's image does: `bentoml serve`, without the command of ours."""
    home = str(tmp_path / "bentoml")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("TWINSCORE_")}
    environment = {**clean, "BENTOML_HOME": home}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "bento_service.store", str(package.directory)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"{package.manifest.name}:{package.manifest.version}" in done.stderr
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", "bento_service.service:FraudDetector"]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", transport=httpx.HTTPTransport(retries=8), timeout=10
        ) as client:
            for _ in range(100):
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    continue
            card = client.get("/model").json()
            assert card["sha256"] == package.manifest.sha256
            assert client.post("/score", json=golden_request(package)).status_code == 200
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
