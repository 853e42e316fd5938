"""Several transactions at once on their way to one service."""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue

from shared.replay.connection import Connection
from shared.replay.outcome import Outcome


class Sender:
    """The connections to one service, a thread each.

    Args:
        in_flight: how many.
        stopped: set by the first failure, and at the end, to end every wait.
        failures: where failures are put, to be raised by who reads the table.
        outcome: where answers are put, in row `number` of its arrays.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        in_flight: int,
        stopped: threading.Event,
        failures: list[BaseException],
        outcome: Outcome,
        number: int,
    ) -> None:
        self._in_flight, self._outcome, self._number, self._failures = in_flight, outcome, number, failures
        self._stopped = stopped
        self._free = threading.Semaphore(in_flight)
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[tuple[int, bytes, float] | None] = SimpleQueue()
        connections = [Connection(url, api_key, stopped) for _ in range(in_flight)]
        self._threads = [threading.Thread(target=self._work, args=(c,), daemon=True) for c in connections]
        for thread in self._threads:
            thread.start()

    def acquire(self) -> None:
        """Wait for a connection to be free."""
        self._free.acquire()

    def put(self, number: int, body: bytes, arrived: float) -> None:
        self._jobs.put((number, body, arrived))

    def drain(self) -> None:
        """Wait until every connection is free."""
        for _ in range(self._in_flight):
            self._free.acquire()
        self._free.release(self._in_flight)

    def close(self) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, connection: Connection) -> None:
        while (job := self._jobs.get()) is not None:
            number, body, arrived = job
            try:
                answer = connection.score(body)
                self._outcome.latency[self._number, number] = time.perf_counter() - arrived
                self._outcome.probabilities[self._number, number] = answer.probability
                with self._lock:
                    self._outcome.retries[self._number] += answer.retries
                self._outcome.versions.add(answer.model_version)
            except Exception as error:  # raised again where the table is read
                self._failures.append(error)
                self._stopped.set()
            finally:
                self._free.release()
        connection.close()
