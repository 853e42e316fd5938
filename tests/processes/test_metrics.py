"""Both variants keep the same metrics: after the same requests, the same families, labels and counts."""

from __future__ import annotations

import re

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.model.package import ModelPackage
from tests.conftest import VARIANTS, StartServer

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

# What depends on how fast the machine was, or on how requests met.
TIMED = re.compile(r"_(seconds|rows)_(bucket|sum)$|_inference_duration_seconds_count$|_inference_batch_rows_count$")


def scrape(url: str) -> tuple[dict[str, str], Samples]:
    """The types of the families, and the values of the samples."""
    answer = httpx.get(f"{url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = list(text_string_to_metric_families(answer.text))
    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}
    return {family.name: family.type for family in families}, samples


def send_the_same(url: str, package: ModelPackage) -> None:
    rows = package.manifest.golden.rows
    with httpx.Client(base_url=url) as client:
        for number in range(100):
            client.post("/score", json={"features": rows[number % len(rows)]})
        client.post("/score/batch", json={"rows": rows[:200]})
        wild = [1e30] * len(rows[0])
        client.post("/score", json={"features": wild})
        for bad in (b"{", b'{"features":[1]}', b'{"features":"x"}'):
            client.post("/score", content=bad, headers={"content-type": "application/json"})
        client.post("/score", content=b"x", headers={"content-type": "text/plain"})
        for method, path in (("GET", "/nowhere"), ("PUT", "/score"), ("BREW", "/score"), ("HEAD", "/model")):
            client.request(method, path)


def test_the_same_requests_leave_the_same_counts(start_server: StartServer, package: ModelPackage) -> None:
    kept = []
    for variant in VARIANTS:
        server = start_server(variant)
        send_the_same(server.url, package)
        kept.append(scrape(server.url))
    (first_types, first), (second_types, second) = kept
    assert first_types == second_types
    probes = ("/readyz", "/metrics")  # asked as often as it took to start
    compared = [
        {k: v for k, v in samples.items() if not TIMED.search(k[0]) and dict(k[1]).get("route") not in probes}
        for samples in (first, second)
    ]
    assert compared[0] == compared[1]
    assert first.keys() == second.keys()
    rows = 100 + 200 + 1
    assert first["twinscore_inference_batch_rows_sum", ()] == second["twinscore_inference_batch_rows_sum", ()] == rows
    assert first["twinscore_probability_count", ()] == rows
    ok = (("method", "POST"), ("route", "/score"), ("status", "200"))
    assert first["twinscore_http_requests_total", ok] == 101
    assert first["twinscore_ready", ()] == 1
    out_of_range = {k: v for k, v in first.items() if k[0] == "twinscore_feature_out_of_range_total"}
    assert len(out_of_range) == len(package.manifest.features)
    assert min(out_of_range.values()) >= 1
    refused = (("reason", "invalid-request"),)
    assert first["twinscore_http_rejections_total", refused] == 2


@pytest.mark.parametrize("variant", VARIANTS)
def test_known_series_are_there_at_zero(variant: str, start_server: StartServer, package: ModelPackage) -> None:
    _, samples = scrape(start_server(variant).url)
    ok = (("method", "POST"), ("route", "/score"), ("status", "200"))
    assert samples["twinscore_http_requests_total", ok] == 0
    assert samples["twinscore_inference_batch_rows_count", ()] == 0
    for feature in package.manifest.feature_names:
        assert samples["twinscore_feature_missing_total", (("feature", feature),)] == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_client_makes_the_exposition_grow(variant: str, start_server: StartServer) -> None:
    server = start_server(variant)
    with httpx.Client(base_url=server.url) as client:
        client.request("BREW", "/nowhere")
        before = set(scrape(server.url)[1])
        for number in range(500):
            client.request(f"M{number}", f"/path/{number}", headers={"x-request-id": str(number)})
        assert set(scrape(server.url)[1]) - before <= set()
