"""The log lines of both variants: JSON, the same members, and nothing of what clients sent."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.model.package import ModelPackage
from tests.conftest import VARIANTS, StartServer
from tests.telemetry.test_traces import CALLER, TRACE

REQUEST_MEMBERS = {
    *("time", "level", "logger", "event", "message", "variant", "model_version", "request_id", "trace_id", "span_id"),
    *("method", "route", "status", "problem", "duration_ms", "rows"),
}
SECRET = 314159.25


def lines_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_service_logs_json_and_a_line_for_each_request(
    variant: str, start_server: StartServer, package: ModelPackage
) -> None:
    server = start_server(variant, environment={"TWINSCORE_DRAIN_SECONDS": "0.1"})
    row: list[float | None] = list(package.manifest.golden.rows[0])
    row[0] = SECRET
    traced = {"x-request-id": "log-1", "traceparent": f"00-{TRACE}-{CALLER}-01", "authorization": "Bearer hidden-key"}
    with httpx.Client(base_url=server.url) as client:
        assert client.post("/score", json={"features": row}, headers=traced).status_code == 200
        assert client.post("/score/batch", json={"rows": [row] * 7}, headers={"x-request-id": "log-2"}).is_success
        assert client.post("/score", json={"features": [SECRET]}, headers={"x-request-id": "log-3"}).status_code == 422
        assert client.get(f"/{SECRET}", headers={"x-request-id": "log-4"}).status_code == 404
    assert server.stop(signal.SIGTERM) == 0
    assert server.log is not None

    text = server.log.read_text()
    assert str(SECRET) not in text
    assert "hidden-key" not in text
    lines = [line for line in text.splitlines() if not line.startswith(("FastAPI is ready", "BentoML is ready"))]
    found = [json.loads(line) for line in lines]
    by_id = {line["request_id"]: line for line in found if line["event"] == "request"}
    for line in by_id.values():
        assert set(line) == REQUEST_MEMBERS
        assert line["variant"] == variant
        assert line["model_version"] == package.manifest.version
        assert line["duration_ms"] > 0
    told = {
        number: tuple(
            by_id[f"log-{number}"][name] for name in ("method", "route", "status", "problem", "rows", "trace_id")
        )
        for number in range(1, 5)
    }
    assert told == {
        1: ("POST", "/score", 200, None, 1, TRACE),
        2: ("POST", "/score/batch", 200, None, 7, None),
        3: ("POST", "/score", 422, "invalid-request", 0, None),
        4: ("GET", "other", 404, "not-found", 0, None),
    }
    events = [line["event"] for line in found if line["event"] != "request"]
    assert events == ["ready", "draining", "stopped"]
    ready = next(line for line in found if line["event"] == "ready")
    assert (ready["sha256"], ready["backend"]) == (package.manifest.sha256, "onnxruntime")


@pytest.mark.parametrize("variant", VARIANTS)
def test_text_for_people_and_no_requests_where_that_is_asked_for(
    variant: str, start_server: StartServer, package: ModelPackage
) -> None:
    environment = {"TWINSCORE_LOG_FORMAT": "text", "TWINSCORE_ACCESS_LOG": "false", "TWINSCORE_METRICS": "false"}
    server = start_server(variant, environment=environment)
    assert httpx.post(f"{server.url}/score", json={"features": package.manifest.golden.rows[0]}).status_code == 200
    scraped = httpx.get(f"{server.url}/metrics")
    assert (scraped.status_code, scraped.text) == (200, "")
    assert server.stop(signal.SIGTERM) == 0
    assert server.log is not None
    text = server.log.read_text()
    assert f"ready: {package.manifest.name} {package.manifest.version} by onnxruntime" in text
    assert "/score" not in text
    assert "{" not in text
