"""BentoML's batch dispatcher, with one change: the queue is released whenever the predictor is idle.

BentoML's own learns how long to hold requests back from how long it held them back before. After a burst it goes on
delaying lone requests, and overload makes it drop requests until it is restarted. Here nothing waits for a timer:
a lone request that finds the predictor idle goes at once, and what queues while it is busy, or where there is company until no
more comes, goes together: batches grow with the load by themselves.

`install` puts the class where BentoML looks for its dispatcher. The setting
`TWINSCORE_BATCHER=native` leaves BentoML's own in place.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from typing import TYPE_CHECKING, Any

import _bentoml_impl.server.app as server_app
from bentoml._internal.marshal.dispatcher import CorkDispatcher, Job

from shared.serving.gate import Gate
from shared.serving.gathering import schedule

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

EXPECTED_PARAMETERS = [
    "max_latency_in_ms",
    "max_batch_size",
    "shared_sema",
    "fallback",
    "get_batch_size",
    "batch_dim",
]

Batch = Callable[[Sequence[Any]], Coroutine[None, None, Sequence[Any]]]


class TracedJob(Job[Any, Any]):
    """A job that knows the server span of its request, where that is traced."""

    span: SpanContext | None = None


class EagerDispatcher(CorkDispatcher[Any, Any]):
    """Releases what is queued as soon as no batch is running."""

    gate: Gate
    """Tells where this process keeps its telemetry; set by `install`."""

    _running = False
    _scheduled = False
    _company = False

    def __call__(self, callback: Batch) -> Callable[[Any], Coroutine[None, None, Any]]:
        # BentoML wraps the same batch function anew for every request: the latest serves them all.
        self.callback = callback
        return self.inbound_call

    async def inbound_call(self, data: Any) -> Any:
        """Queues one request and waits for its part of the batch. Cancelled, it leaves the queue."""
        loop = self._loop
        future: asyncio.Future[Any] = loop.create_future()
        # Not the wall clock, which can be set back; BentoML's own reading of this time is overridden here.
        job = TracedJob(time.perf_counter(), data, future)
        telemetry = self.gate.telemetry
        if telemetry is not None and telemetry.tracing is not None:
            job.span = telemetry.tracing.current()
        self._queue.append(job)
        if not self._running and not self._scheduled:
            self._schedule()
        return await future

    def _release(self) -> None:
        self._scheduled = False
        while self._queue and self._queue[0].future.done():
            self._queue.popleft()
        jobs = tuple(job for job in self._get_inputs() if not job.future.done())
        self._company = len(jobs) > 1
        if jobs:
            self._running = True
            telemetry = self.gate.telemetry
            if telemetry is not None and telemetry.metrics is not None:
                now = time.perf_counter()
                telemetry.metrics.queue_seconds.pending.extend(now - job.enqueue_time for job in jobs)
            # In a context of its own: this one is that of whichever request scheduled the release.
            self._task = self._loop.create_task(self.outbound_call(jobs), context=Context())

    async def outbound_call(self, inputs_info: tuple[TracedJob, ...], training: bool = False) -> None:
        """Runs one batch, answers its requests, then releases what has queued meanwhile."""
        start, failure = time.perf_counter(), None
        try:
            outputs = await self.callback([job.data for job in inputs_info])
            for job, output in zip(inputs_info, outputs, strict=True):
                if not job.future.done():
                    job.future.set_result(output)
        except Exception as error:
            failure = error
            for job in inputs_info:
                if not job.future.done():
                    job.future.set_exception(error)
        finally:
            self._trace(inputs_info, start, failure)
            self._running = False
            if self._queue and not self._scheduled:
                self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        schedule(self._loop, self._release, self._queue, company=self._company)

    def _trace(self, jobs: tuple[TracedJob, ...], start: float, error: Exception | None) -> None:
        telemetry = self.gate.telemetry
        if telemetry is not None and telemetry.tracing is not None:
            members = [(job.span, job.enqueue_time) for job in jobs if job.span is not None]
            telemetry.tracing.batch(members, len(jobs), start, time.perf_counter(), error)


def install(gate: Gate) -> None:
    """Makes BentoML use this dispatcher in this process.

    Raises:
        RuntimeError: this release of BentoML has moved what is replaced here.
    """
    parameters = [name for name in inspect.signature(CorkDispatcher.__init__).parameters if name != "self"]
    known = all(hasattr(CorkDispatcher, name) for name in ("_loop", "_get_inputs", "shutdown"))
    if getattr(server_app, "CorkDispatcher", None) is None or parameters != EXPECTED_PARAMETERS or not known:
        raise RuntimeError(
            "this release of BentoML has another batch dispatcher than 1.4.39: "
            "set TWINSCORE_BATCHER=native to serve with BentoML's own"
        )
    EagerDispatcher.gate = gate
    server_app.CorkDispatcher = EagerDispatcher
