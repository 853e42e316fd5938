"""The page when a service is down, both are, and when they come and go; and services that the command starts."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from shared.reliability.ports import free_port
from tests.compare.conftest import OpenPage, clean_environment, comparing
from tests.conftest import ROOT, VARIANTS, port_is_free


def test_both_down_tells_how_to_start_them(open_page: OpenPage, tmp_path: Path) -> None:
    urls = {variant: f"http://127.0.0.1:{free_port()}" for variant in VARIANTS}
    with comparing(tmp_path, urls) as compare:
        visit = open_page(compare.url)
        page = visit.page
        visit.wait_for_text("#verdict", "Neither service is up")
        for variant in VARIANTS:
            head = page.inner_text(f"th.{variant}")
            assert "not reachable" in head
            port = urls[variant].rpartition(":")[2]
            assert f"OTEL_EXPORTER_OTLP_ENDPOINT={compare.otlp} twinscore serve {variant} --port {port}" in head
        assert page.get_by_role("button", name="Send to both").is_disabled()
        assert visit.complaints == []


def test_services_that_the_command_starts_answer_by_themselves_and_stop_with_it(
    open_page: OpenPage, tmp_path: Path, default_model: Path
) -> None:
    urls = {variant: f"http://127.0.0.1:{free_port()}" for variant in VARIANTS}
    environment = {"TWINSCORE_MODEL": str(default_model), "BENTOML_HOME": str(tmp_path / "bentoml")}
    with comparing(tmp_path, urls, "--serve", **environment) as compare:
        visit = open_page(compare.url)
        visit.page.set_default_timeout(60_000)
        visit.wait_for_text("#verdict", "Both services are starting.")
        visit.wait_for_answers()
        for variant in VARIANTS:
            visit.wait_for_text(f'td.{variant}[data-row="batch"]', "Alone: a batch of 1 row")
        assert visit.complaints == []
        family = psutil.Process(compare.process.pid).children(recursive=True)
        assert len(family) >= 4
        assert compare.stop(signal.SIGINT) == 0
        _, alive = psutil.wait_procs(family, timeout=10)
        assert alive == []
        assert all(port_is_free(int(url.rpartition(":")[2])) for url in urls.values())
        assert "Traceback" not in compare.log.read_text()
        visit.wait_for_text("#lost", "twinscore compare itself does not answer")


def test_a_service_that_cannot_start_ends_it_with_its_reason(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shared.cli", "compare", "--serve", "--port", str(free_port())]
    command += ["--otlp-port", "0"]
    for variant in VARIANTS:
        command += [f"--{variant}", f"http://127.0.0.1:{free_port()}"]
    environment = clean_environment(TWINSCORE_MODEL=str(tmp_path / "nowhere"), BENTOML_HOME=str(tmp_path / "bentoml"))
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert re.search(r"Error: .*nowhere", done.stderr)
    assert "a service has ended" in done.stderr
