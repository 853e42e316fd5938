"""A real Prometheus on a free port, with a copy of our configuration that is quick enough for a test."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from shared.reliability.ports import free_port
from tests.stack.files import PROMETHEUS, RULES, load

START_SECONDS = 30.0

# In the copy, scrapes come every two seconds and evaluations every second. Windows of minutes become SHORT, of hours and
# days LONG, and nothing has to last longer than a second. All else stays: the expressions, thresholds and labels.
SHORT, LONG = "16s", "20s"
WINDOW = re.compile(r"(\[|offset )\d+([mhd])\b")
LASTING = re.compile(r"^( +)(for|interval): \d+[smhd]$", re.MULTILINE)


@dataclass(frozen=True)
class PrometheusServer:
    """The HTTP API of a running Prometheus."""

    client: httpx.Client

    def get(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer; fails with Prometheus' own words where it is none."""
        answer = self.client.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, f"{parameters}: {answer.text}"
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant query, each with `metric` and `value`."""
        found = self.get("query", query=expression)
        assert found["resultType"] == "vector", expression
        result: list[dict[str, Any]] = found["result"]
        return result

    def firing(self) -> set[tuple[str, str, str]]:
        """Name, severity and variant of the alerts that fire; no variant is an empty one."""
        alerts = [alert["labels"] for alert in self.get("alerts")["alerts"] if alert["state"] == "firing"]
        return {(labels["alertname"], labels["severity"], labels.get("variant", "")) for labels in alerts}


def write_quick_copy(folder: Path, targets: Mapping[str, str], key_file: Path, port: int) -> Path:
    """Writes the configuration and its rules to `folder` and returns the configuration's path.

    Args:
        targets: host and port of the service of each variant; of another job's by its name, else it is as it was.
        key_file: holds the API key that the services want.
        port: where this Prometheus listens.
    """
    config = load(PROMETHEUS / "prometheus.yml")
    config["global"] |= {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    for job in config["scrape_configs"]:
        for group in job["static_configs"]:
            name = group.get("labels", {}).get("variant") or job["job_name"]
            group["targets"] = [f"127.0.0.1:{port}" if name == "prometheus" else targets[name]]
        if job["job_name"] == "twinscore":
            job["authorization"] = {"credentials_file": str(key_file)}
    (folder / "rules").mkdir(parents=True)
    for path in RULES:
        text = WINDOW.sub(lambda match: match[1] + (SHORT if match[2] == "m" else LONG), path.read_text())
        (folder / "rules" / path.name).write_text(LASTING.sub(r"\1\2: 1s", text))
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


@contextmanager
def running_prometheus(folder: Path, targets: Mapping[str, str], key_file: Path) -> Iterator[PrometheusServer]:
    """Debian's `prometheus`, ready to answer; stopped at the end."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("prometheus is not installed (Debian: apt-get install prometheus)")
    port = free_port()
    config = write_quick_copy(folder, targets, key_file, port)
    command = [
        *(binary, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"),
        *(f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"),
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + START_SECONDS
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            while not _is_ready(client):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.1)
            yield PrometheusServer(client)
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False
