"""The spans of both variants, as a receiver on the wire gets them."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from shared.model.package import ModelPackage
from shared.reliability.ports import free_port
from tests.conftest import VARIANTS, Server, StartServer, running
from tests.telemetry.receiver import Received, ReceivedSpan, grpc_receiver, http_receiver

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
SERVER, INTERNAL = 2, 1
SEVERAL = 40
TRACES = 0xABC << 64
ROUNDS = 20


def variables(received: Received, **others: str) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100", **others}


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def traced(
    variant: str, tmp_path_factory: pytest.TempPathFactory, default_model: Path
) -> Iterator[tuple[Server, Received]]:
    folder = tmp_path_factory.mktemp("traced")
    with (
        http_receiver() as received,
        running(variant, folder, "--model", str(default_model), environment=variables(received)) as server,
    ):
        yield server, received


@pytest.fixture
def row(package: ModelPackage) -> dict[str, list[float | None]]:
    return {"features": package.manifest.golden.rows[0]}


def of_trace(received: Received, name: str, trace: str) -> ReceivedSpan:
    received.wait(name, 1)
    for _ in range(100):
        found = [span for span in received.named(name) if span.trace_id == trace]
        if found:
            return found[0]
        received.wait(name, len(received.named(name)) + 1, 0.1)
    raise AssertionError(f"no span {name} of trace {trace} came: {received.spans}")


def test_a_request_continues_the_callers_trace(
    traced: tuple[Server, Received], row: dict[str, list[float | None]], variant: str, package: ModelPackage
) -> None:
    server, received = traced
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "x-request-id": "traced-1"}
    assert httpx.post(f"{server.url}/score", json=row, headers=headers).status_code == 200

    request = of_trace(received, "POST /score", TRACE)
    assert (request.kind, request.parent, request.error) == (SERVER, CALLER, False)
    assert request.service == f"twinscore-{variant}"
    expected = {
        "http.request.method": "POST",
        "http.route": "/score",
        "url.scheme": "http",
        "url.path": "/score",
        "http.response.status_code": 200,
        "twinscore.request.id": "traced-1",
        "twinscore.rows": 1,
        "twinscore.model.name": package.manifest.name,
        "twinscore.model.version": package.manifest.version,
    }
    assert dict(request.attributes) == expected

    inference = of_trace(received, "inference", TRACE)
    assert (inference.kind, inference.parent) == (INTERNAL, request.span_id)
    assert request.start <= inference.start < inference.end <= request.end
    assert {"twinscore.batch.rows", "twinscore.queue.seconds"} < set(inference.attributes)

    assert inference.attributes["twinscore.batch.rows"] == 1
    assert not [span for span in received.named("batch") if (TRACE, inference.span_id) in span.links]


def burst(server: Server, row: dict[str, list[float | None]], headers: Sequence[dict[str, str]]) -> None:
    """Requests at the same time, one with each of these headers."""

    def send(fields: dict[str, str]) -> int:
        return httpx.post(f"{server.url}/score", json=row, headers=fields, timeout=30).status_code

    with ThreadPoolExecutor(len(headers)) as threads:
        assert set(threads.map(send, headers)) == {200}


def assert_linked(received: Received) -> None:
    """Each row that was predicted with others is linked by one batch, and no other is."""
    together = [
        (span.trace_id, span.span_id)
        for span in received.named("inference")
        if span.attributes["twinscore.rows"] == 1 < span.attributes["twinscore.batch.rows"]
    ]
    assert together
    assert sorted(together) == sorted(link for span in received.named("batch") for link in span.links)


def test_a_batch_is_linked_to_every_request_it_served(
    traced: tuple[Server, Received], row: dict[str, list[float | None]]
) -> None:
    server, received = traced
    traces: list[str] = []
    # On a busy machine the service may be given the processor after each request: then none waits for another.
    while not received.named("batch"):
        assert len(traces) < ROUNDS * SEVERAL
        sent = [f"{TRACES + len(traces) + number:032x}" for number in range(SEVERAL)]
        burst(server, row, [{"traceparent": f"00-{trace}-{CALLER}-01"} for trace in sent])
        for trace in sent:
            assert of_trace(received, "inference", trace).parent == of_trace(received, "POST /score", trace).span_id
        traces += sent
    assert_linked(received)
    for span in received.named("batch"):
        assert span.parent == ""
        assert span.trace_id not in traces
        assert span.attributes["twinscore.batch.rows"] == len(span.links)
        members = [other for other in received.named("inference") if (other.trace_id, other.span_id) in span.links]
        assert all(member.attributes["twinscore.batch.rows"] == len(span.links) for member in members)


def test_a_batch_request_has_one_inference_of_all_its_rows(
    traced: tuple[Server, Received], package: ModelPackage
) -> None:
    server, received = traced
    trace = "f" * 32
    rows = package.manifest.golden.rows[:100]
    headers = {"traceparent": f"00-{trace}-{CALLER}-01", "tracestate": "vendor=1"}
    assert httpx.post(f"{server.url}/score/batch", json={"rows": rows}, headers=headers).status_code == 200
    request = of_trace(received, "POST /score/batch", trace)
    inference = of_trace(received, "inference", trace)
    assert request.attributes["twinscore.rows"] == inference.attributes["twinscore.rows"] == 100
    assert inference.parent == request.span_id


@pytest.mark.parametrize(
    ("method", "path", "name", "status", "slug"),
    [
        ("POST", "/score", "POST /score", 422, "invalid-request"),
        ("GET", "/wp-login.php", "GET other", 404, "not-found"),
        ("PROPFIND", "/score", "HTTP /score", 405, "method-not-allowed"),
    ],
)
def test_a_refusal_is_recorded_and_never_named_by_the_client(
    traced: tuple[Server, Received], method: str, path: str, name: str, status: int, slug: str
) -> None:
    server, received = traced
    trace = f"{status:032x}"
    headers = {"traceparent": f"00-{trace}-{CALLER}-01", "content-type": "application/json"}
    answer = httpx.request(method, server.url + path, content=b"{}" if method == "POST" else None, headers=headers)
    assert answer.status_code == status
    span = of_trace(received, name, trace)
    assert span.attributes["error.type"] == slug
    assert span.attributes["http.response.status_code"] == status
    assert not span.error  # a client's mistake is no fault of the server's


def test_probes_and_scrapes_leave_no_spans(traced: tuple[Server, Received]) -> None:
    server, received = traced
    for path in ("/livez", "/readyz", "/healthz", "/metrics", "/model"):
        assert httpx.get(server.url + path).status_code == 200
    received.wait("GET /model", 1)
    assert received.named("GET /model")
    assert not {"GET /livez", "GET /readyz", "GET /healthz", "GET /metrics"} & {span.name for span in received.spans}


def test_callers_that_are_not_sampled_are_not_traced(
    traced: tuple[Server, Received], row: dict[str, list[float | None]]
) -> None:
    server, received = traced
    unsampled, marker = "d" * 32, "e" * 32
    for trace, flag in ((unsampled, "00"), (marker, "01")):
        headers = {"traceparent": f"00-{trace}-{CALLER}-{flag}"}
        assert httpx.post(f"{server.url}/score", json=row, headers=headers).status_code == 200
    of_trace(received, "POST /score", marker)
    assert unsampled not in {span.trace_id for span in received.spans}


def test_grpc_and_nothing_lost_at_shutdown(
    variant: str, start_server: StartServer, row: dict[str, list[float | None]]
) -> None:
    with grpc_receiver() as received:
        # The exporter's own timer is a minute away: what comes, comes at the end.
        environment = variables(
            received, OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_BSP_SCHEDULE_DELAY="60000", OTEL_SERVICE_NAME="mine"
        )
        server = start_server(variant, environment=environment)
        with httpx.Client() as client:
            for _ in range(20):
                assert client.post(f"{server.url}/score", json=row).status_code == 200
        assert not received.spans
        assert server.stop(signal.SIGTERM) == 0
        assert len(received.named("POST /score")) == len(received.named("inference")) == 20
        assert {span.service for span in received.spans} == {"mine"}


def test_the_standard_sampler_is_honoured(
    variant: str, start_server: StartServer, row: dict[str, list[float | None]]
) -> None:
    with http_receiver() as received:
        environment = variables(received, OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.3")
        server = start_server(variant, environment=environment)
        sent = 300
        with httpx.Client() as client:
            for _ in range(sent):
                assert client.post(f"{server.url}/score", json=row).status_code == 200
        while not received.wait("batch", 1, 1):
            assert sent < 300 + ROUNDS * SEVERAL
            burst(server, row, [{}] * SEVERAL)
            sent += SEVERAL
        assert server.stop(signal.SIGTERM) == 0
        sampled = {span.trace_id for span in received.named("POST /score")}
        assert 0.1 < len(sampled) / sent < 0.67
        assert {span.trace_id for span in received.named("inference")} == sampled
        # Whether a batch is recorded follows from its requests, not from a decision of its own.
        assert_linked(received)


def test_a_dead_collector_fails_nothing_and_delays_no_exit(
    variant: str, start_server: StartServer, row: dict[str, list[float | None]]
) -> None:
    server = start_server(variant, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"})
    with httpx.Client() as client:
        for _ in range(200):
            assert client.post(f"{server.url}/score", json=row).status_code == 200
    assert server.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "thrift", "OTEL_EXPORTER_OTLP_PROTOCOL=thrift: use http/protobuf or grpc"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "none", "OTEL_BSP_MAX_QUEUE_SIZE=none: use a whole number from 1 up"),
    ],
)
def test_a_setting_that_is_none_stops_the_start_in_one_line(
    variant: str, start_server: StartServer, variable: str, value: str, line: str
) -> None:
    with pytest.raises(RuntimeError, match=line):
        start_server(variant, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", variable: value})
