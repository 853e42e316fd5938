"""The metrics of both services. Import this only after `multiprocess.use_directory`.

What happens in a request is noted in plain lists; a timer writes it into prometheus_client's values a few times a
second, before every scrape, and at the end. Written one by one they would cost a tenth of a request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.utils import floatToGoString

from shared.contract import errors, routes
from shared.model.manifest import Manifest
from shared.model.predictor import Probabilities, Rows
from shared.model.scores import SCORE_EDGES
from shared.telemetry import allocated
from shared.telemetry.access import Answered
from shared.telemetry.later import Later
from shared.telemetry.multiprocess import exposition

DURATION_BUCKETS: Final = (
    *(0.00025, 0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.0075),
    *(0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
INFERENCE_BUCKETS: Final = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001),
    *(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
)
ROW_BUCKETS: Final = tuple(float(2**power) for power in range(11))
PROBABILITY_BUCKETS: Final = SCORE_EDGES[1:]
"""Those of the training scores, which `probability_reference` tells, so that rules can compare the two."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER: Final = "other"
"""Label of every path that is no route, and of every unknown method."""

logger = logging.getLogger("twinscore.metrics")


class BulkHistogram:
    """A Histogram that takes many observations at once."""

    def __init__(self, histogram: Histogram, bounds: tuple[float, ...]) -> None:
        self._histogram = histogram
        self._bounds = np.array(bounds)
        self.pending: list[float] = []

    def flush(self) -> None:
        if not self.pending:
            return
        values = np.array(self.pending)
        self.pending.clear()
        counts = np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._bounds) + 1)
        self._histogram._sum.inc(float(values.sum()))
        for bucket, count in zip(self._histogram._buckets, counts.tolist(), strict=True):
            if count:
                bucket.inc(count)


class Metrics:
    """The metrics of one worker process.

    Args:
        directory: of the server, as `use_directory` returned it.
        manifest: of the model that is served.
        backend: the predictor in use.
        in_flight: tells how many requests hold a slot.
        max_in_flight: slots there are.
    """

    def __init__(
        self, directory: Path, manifest: Manifest, backend: str, in_flight: Callable[[], int], max_in_flight: int
    ) -> None:
        self.directory = directory
        self._full = False
        allocated.install()
        self.registry = CollectorRegistry()
        self._later = Later(self._write)
        self._names = manifest.feature_names
        self._low = np.array([_or(f.observed_min, -np.inf) for f in manifest.features], dtype=np.float32)
        self._high = np.array([_or(f.observed_max, np.inf) for f in manifest.features], dtype=np.float32)
        self._rows: list[Rows] = []
        self._answered: dict[tuple[str, str, int], list[float]] = {}
        self._refused: dict[str, int] = {}
        self._in_flight = in_flight
        self._define()
        self.in_flight_limit.set(max_in_flight)
        self.workers.set(1)
        self.worker_starts.inc()
        self.model_info.labels(manifest.name, manifest.version, manifest.sha256, backend).set(1)
        self._set_reference(manifest)
        self._start_at_zero()

    def _define(self) -> None:
        def histogram(name: str, help_text: str, bounds: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(name, help_text, labels, namespace="twinscore", buckets=bounds, registry=self.registry)

        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(name, help_text, labels, namespace="twinscore", registry=self.registry)

        def gauge(name: str, help_text: str, mode: str, *labels: str) -> Gauge:
            return Gauge(
                name,
                help_text,
                labels,
                namespace="twinscore",
                multiprocess_mode=mode,  # type: ignore[arg-type]
                registry=self.registry,
            )

        self.requests = counter("http_requests", "Requests answered.", "method", "route", "status")
        self._duration = histogram(
            "http_request_duration_seconds", "Request to end of answer.", DURATION_BUCKETS, "method", "route"
        )
        self.rejections = counter("http_rejections", "Requests refused, by the kind of problem.", "reason")
        self.requests_in_flight = gauge("http_requests_in_flight", "Requests with a slot.", "livesum")
        self.in_flight_limit = gauge("http_requests_in_flight_limit", "Requests that find a slot.", "livesum")
        self.workers = gauge("workers", "Worker processes alive.", "livesum")
        self.worker_starts = counter("worker_starts", "Worker processes started, those that died since among them.")
        self.ready = gauge("ready", "1 while /readyz says yes in every worker.", "livemin")
        self.model_info = gauge("model_info", "The model served.", "livemax", "name", "version", "sha256", "backend")
        self.failures = counter("inference_failures", "Calls of the predictor that raised or answered nonsense.")
        self.reference = gauge("probability_reference", "Share of the training scores up to le.", "livemax", "le")
        self.out_of_range = counter("feature_out_of_range", "Values outside the training range.", "feature")
        self.missing = counter("feature_missing", "Missing values.", "feature")
        self.inference_seconds = BulkHistogram(
            histogram("inference_duration_seconds", "One call of the predictor.", INFERENCE_BUCKETS),
            INFERENCE_BUCKETS,
        )
        self.batch_rows = BulkHistogram(
            histogram("inference_batch_rows", "Rows predicted together.", ROW_BUCKETS), ROW_BUCKETS
        )
        self.queue_seconds = BulkHistogram(
            histogram("inference_queue_seconds", "A row's wait for the predictor.", DURATION_BUCKETS),
            DURATION_BUCKETS,
        )
        self.probability = BulkHistogram(
            histogram("probability", "Scores given.", PROBABILITY_BUCKETS), PROBABILITY_BUCKETS
        )
        self._bulk = [self.inference_seconds, self.batch_rows, self.queue_seconds, self.probability]
        self._durations: dict[tuple[str, str], BulkHistogram] = {}

    def _set_reference(self, manifest: Manifest) -> None:
        scores = manifest.score_distribution
        if scores is None or tuple(scores.edges) != SCORE_EDGES or not sum(scores.counts):
            return  # a package without them, or with bins of its own, cannot be compared
        shares = np.cumsum(scores.counts) / sum(scores.counts)
        for bound, share in zip((*PROBABILITY_BUCKETS, np.inf), (*shares.tolist(), 1.0), strict=True):
            self.reference.labels(floatToGoString(bound)).set(share)

    def _start_at_zero(self) -> None:
        """Known series exist before their first event: a rate over a series that has just appeared misses it."""
        for path, methods in routes.ROUTES.items():
            for method in methods:
                self.requests.labels(method, path, "200")
                self._durations_of(method, path)
        for path in (routes.SCORE, routes.SCORE_BATCH):
            for problem in errors.PROBLEMS:
                if problem.status not in (404, 405):
                    self.requests.labels("POST", path, str(problem.status))
        for problem in errors.PROBLEMS:
            self.rejections.labels(problem.slug)
        for name in self._names:
            self.out_of_range.labels(name)
            self.missing.labels(name)
        self.ready.set(0)
        self.requests_in_flight.set(0)

    def _durations_of(self, method: str, route: str) -> BulkHistogram:
        found = self._durations.get((method, route))
        if found is None:
            found = BulkHistogram(self._duration.labels(method, route), DURATION_BUCKETS)
            self._durations[method, route] = found
        return found

    def request(self, request: Answered) -> None:
        """Notes an answered request."""
        seconds = self._answered.get((request.method, request.route, request.status))
        if seconds is None:
            method = request.method if request.method in METHODS else OTHER
            seconds = self._answered.setdefault((method, request.route, request.status), [])
        seconds.append(request.seconds)
        if request.problem is not None:
            self._refused[request.problem] = self._refused.get(request.problem, 0) + 1
        self._later.noted(len(seconds))

    def inference(self, rows: Rows, probabilities: Probabilities, seconds: float) -> None:
        """Notes one call of the predictor; `rows` must not change afterwards."""
        self.inference_seconds.pending.append(seconds)
        self.batch_rows.pending.append(len(rows))
        self.probability.pending.extend(probabilities.tolist())
        self._rows.append(rows)
        self._later.noted(len(self.probability.pending))

    def flush(self) -> None:
        """Writes what was noted."""
        self._later.now()

    def _write(self) -> None:
        for (method, route, status), seconds in self._answered.items():
            if seconds:
                self._note_answers(method, route, status, seconds)
                seconds.clear()
        refused, self._refused = self._refused, {}
        for reason, count in refused.items():
            self._inc(self.rejections, (reason,), count)
        for histogram in (*self._durations.values(), *self._bulk):
            histogram.flush()
        if self._rows:
            rows = np.concatenate(self._rows)
            self._rows.clear()
            self._count(self.missing, np.isnan(rows))
            self._count(self.out_of_range, (rows < self._low) | (rows > self._high))
        self.requests_in_flight.set(self._in_flight())

    def _note_answers(self, method: str, route: str, status: int, seconds: list[float]) -> None:
        self._inc(self.requests, (method, route, str(status)), len(seconds))
        try:
            self._durations_of(method, route).pending.extend(seconds)
        except OSError as error:
            self._no_room(error)

    def _inc(self, counter: Counter, labels: tuple[str, ...], count: int) -> None:
        try:
            counter.labels(*labels).inc(count)
        except OSError as error:
            self._no_room(error)

    def _no_room(self, error: OSError) -> None:
        """There is no disk for a series that was not there before: the service goes on without it."""
        if not self._full:
            self._full = True
            logger.error("no room for more metrics in %s: %s", self.directory, error.strerror)

    def _count(self, counter: Counter, flags: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> None:
        counts = flags.sum(axis=0)
        for index in np.flatnonzero(counts):
            counter.labels(self._names[index]).inc(int(counts[index]))

    async def scrape(self) -> bytes:
        """The body of `GET /metrics`: all workers of the server, summed."""
        self.flush()
        return await asyncio.to_thread(exposition, self.directory)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
