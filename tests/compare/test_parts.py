"""What the page's server is made of: the connections, the comparison, the spans and the samples."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from shared.compare.client import Client
from shared.compare.exchange import verdict
from shared.compare.samples import samples
from shared.compare.spans import Span, Traces, load_decoder
from shared.compare.target import Variant, parse_target
from shared.compare.wire import NoAnswer, Reply
from shared.contract.wire import FeatureCard, ModelCard
from shared.model.package import ModelPackage

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def with_server(handler: Handler, work: Callable[[Client], Awaitable[Any]]) -> Any:
    """The result of `work` with a client of a server that handles connections so."""

    connections: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except asyncio.IncompleteReadError:
            pass  # the client went first
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.create_task(handle(reader, writer)))

    async def run() -> Any:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        client = Client(parse_target("fastapi", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        async with server:
            try:
                return await work(client)
            finally:
                client.close()
                await asyncio.gather(*connections)

    return asyncio.run(run())


def answer(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def test_connections_are_kept_and_the_time_is_of_the_answer_alone() -> None:
    connections = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(b"yes")[:20])
            await asyncio.sleep(0.05)
            writer.write(answer(b"yes")[20:])

    async def work(client: Client) -> list[Reply]:
        return [await client.get("/"), await client.get("/")]

    first, second = with_server(handle, work)
    assert connections == 1
    assert (first.reused, second.reused) == (False, True)
    assert first.body == b"yes"
    assert first.seconds >= 0.05


def test_a_connection_closed_while_idle_is_replaced() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"once"))
        await reader.readuntil(b"\r\n\r\n")  # the second request is read, and left without an answer

    async def work(client: Client) -> list[bytes]:
        bodies = [(await client.get("/")).body, (await client.get("/")).body]
        both = [client.request("GET", "/", {})] * 3
        return bodies + [reply.body for reply in await client.ask_at_once(both) if isinstance(reply, Reply)]

    assert with_server(handle, work) == [b"once"] * 5


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"hello\r\n\r\n", "answered something that is not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", "closed the connection in the middle of the answer"),
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n" + bytes(9_999_999), "answered more than"),
    ],
    ids=["no HTTP", "half", "nothing", "too much"],
)
def test_what_is_no_answer_is_told_in_words(sent: bytes, reason: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)

    async def work(client: Client) -> str:
        with pytest.raises(NoAnswer) as caught:
            await client.get("/")
        return str(caught.value)

    assert with_server(handle, work).startswith(reason)


def reply(body: bytes, status: int = 200, kind: str = "application/json") -> Reply:
    return Reply(status, "", [("content-type", kind)], body)


SAME = b'{"probability":0.5}'


@pytest.mark.parametrize(
    ("first", "second", "kind", "words"),
    [
        (reply(SAME), reply(SAME), "identical", "the same 19 bytes"),
        (reply(SAME), reply(b'{"probability":0.50}'), "differ", "not the same bytes"),
        (reply(SAME), reply(b'{"probability":0.25}'), "differ", "float32 bits 3f000000 and 3e800000"),
        (reply(SAME), reply(SAME, 503), "differ", "status 200 and 503"),
        (reply(SAME), reply(SAME, kind="text/plain"), "differ", "content types"),
        (reply(b"no", 422), reply(b"no", 422), "refused", "422, the same 2 bytes"),
        (reply(SAME), NoAnswer("nothing listens there"), "one", "Only FastAPI answered"),
        (NoAnswer("nothing listens there"), reply(SAME), "one", "Only BentoML answered"),
        (NoAnswer(""), NoAnswer(""), "none", "Neither"),
    ],
)
def test_two_answers_are_compared_to_the_byte(
    first: Reply | NoAnswer, second: Reply | NoAnswer, kind: str, words: str
) -> None:
    found = verdict({"fastapi": first, "bento": second})
    assert found["kind"] == kind
    assert words in found["text"]


def exported(trace_id: str) -> bytes:
    """What a real exporter sends of a request and its batch, which holds a stranger's request too."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("test")
    caller = SpanContext(int(trace_id, 16), 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    server = tracer.start_span(
        "POST /score", context=set_span_in_context(NonRecordingSpan(caller)), start_time=1_000_000
    )
    attributes = {"twinscore.batch.rows": 2, "twinscore.queue.seconds": 0.0005}
    inference = tracer.start_span(
        "inference", context=set_span_in_context(server), start_time=2_000_000, attributes=attributes
    )
    stranger = SpanContext(7, 7, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    links = [Link(inference.get_span_context()), Link(stranger)]
    batch = tracer.start_span("batch", links=links, start_time=2_500_000, attributes={"twinscore.batch.rows": 2})
    batch.end(3_500_000)
    inference.end(3_500_000)
    server.end(5_000_000)
    spans: list[ReadableSpan] = list(memory.get_finished_spans())
    content: bytes = encode_spans(spans).SerializeToString()
    return content


def test_spans_are_put_together_by_trace_and_link() -> None:
    told: list[dict[str, Any]] = []
    traces = Traces(told.extend)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    traces.expect(trace_id, "bento")
    traces.add(load_decoder()(exported(trace_id)))
    traces.add(load_decoder()(exported("ffffffffffffffffffffffffffffffff")))
    (view,) = told
    assert (view["trace_id"], view["variant"]) == (trace_id, "bento")
    assert view["server"] == {"began": 1.0, "ms": 4.0}
    assert view["inference"] == {"began": 2.0, "ms": 1.5, "rows": 2, "queue_ms": 0.5}
    assert (view["batch"]["rows"], view["batch"]["ms"]) == (2, 1.0)
    assert view["batch"]["trace_id"] != trace_id
    with pytest.raises(ValueError, match="ExportTraceServiceRequest"):
        load_decoder()(b"\xff\xff")


def test_a_row_that_was_predicted_alone_is_its_own_batch() -> None:
    """It has no other span: its prediction is what `inference` took when it no longer waited."""
    told: list[dict[str, Any]] = []
    traces = Traces(told.extend)
    traces.expect("trace", "fastapi")
    attributes = {"twinscore.batch.rows": 1, "twinscore.queue.seconds": 0.0005}
    traces.add([Span("trace", "span", "inference", 2_000_000, 3_500_000, attributes, ())])
    assert told[0]["batch"] == {"id": "span", "trace_id": "trace", "rows": 1, "began": 2.5, "ms": 1.0}


def test_only_so_many_traces_are_kept() -> None:
    traces = Traces(lambda views: None)
    for number in range(5_000):
        traces.expect(f"{number:032x}", "fastapi")
    assert len(traces._traces) == 2_000


def test_samples_are_rows_that_the_online_features_make(package: ModelPackage) -> None:
    card = package.manifest.card("xgboost")
    names = [feature.name for feature in card.features]
    found = {sample.name: dict(zip(names, sample.row, strict=True)) for sample in samples(card, None)}
    assert list(found) == ["Typical", "High amount", "Bad shop", "No history", "Out of range"]
    for row in found.values():
        assert row["amount_log1p"] == pytest.approx(np.log1p(row["amount"]), rel=1e-6)
        for feature in card.features:
            assert row[feature.name] is not None or feature.nullable
    assert all(found["No history"][f.name] is None for f in card.features if f.name.startswith("terminal_fraud_rate"))
    assert found["Bad shop"]["terminal_fraud_rate_7d"] == 1
    assert found["Typical"]["terminal_fraud_count_30d"] == 0
    assert found["Out of range"]["amount"] > card.features[0].observed_max
    for row in found.values():
        for value in row.values():
            assert value is None or struct.unpack("f", struct.pack("f", value))[0] == np.float32(value)


def test_models_with_features_of_their_own_get_samples_too() -> None:
    features = [
        FeatureCard(name="a", description="", unit="", nullable=True, observed_min=-1.0, observed_max=3.0),
        FeatureCard(name="b", description="", unit="", nullable=False, observed_min=None, observed_max=None),
    ]
    details = {"name": "m", "version": "1.0.0", "sha256": "", "backend": "xgboost", "largest_deviation": 0.0}
    card = ModelCard.model_validate(
        details | {"created": "", "features": features, "evaluation": {}, "decision_threshold": None}
    )
    found = {sample.name: list(sample.row) for sample in samples(card, [0.5, None])}
    assert found["Example"] == [0.5, None]
    assert found["Middle"] == [1.0, None]
    assert found["Missing"] == [None, None]
    assert found["Out of range"] == [8.0, None]
    assert samples(card, [0.5])[0].name == "Middle"


def test_a_target_is_a_base_url() -> None:
    variant: Variant = "bento"
    target = parse_target(variant, "http://[::1]:3000/v1/", api_key="key")
    assert (target.host, target.port, target.prefix, target.loopback) == ("::1", 3000, "/v1", True)
    request = Client(target).request("POST", "/score", {"x-request-id": "a"}, b"{}")
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[:3] == [b"POST /v1/score HTTP/1.1", b"host: [::1]:3000", b"authorization: Bearer key"]
    assert body == b"{}"
