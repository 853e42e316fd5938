"""Transactions in the order of their times: into the feature state, and their rows to every service."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from shared.model.features.definition import DELAY_DAYS, FEATURE_NAMES
from shared.model.features.state import FeatureState, Transaction
from shared.model.features.transactions import Transactions
from shared.replay.connection import Connection

MAX_SHOWN = 5
"""Skewed values and differing answers that are kept to be shown."""


@dataclass
class Outcome:
    """What became of the n transactions that were sent, rows `first` to the end of the table.

    Args:
        urls: the services, k of them.
        first: row number of the first transaction sent.
        n: how many are sent.
    """

    urls: Sequence[str]
    first: int
    n: int
    skewed_rows: int = 0
    skew: list[str] = field(default_factory=list)
    retries: int = 0
    seconds: float = 0.0
    versions: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        shape = (len(self.urls), self.n)
        self.probabilities: NDArray[np.float64] = np.full(shape, np.nan)
        """Shape (k, n); NaN until answered."""
        self.latency: NDArray[np.float64] = np.full(shape, np.nan)
        """Seconds from the transaction's arrival to its probability, shape (k, n)."""
        self.update_seconds: NDArray[np.float64] = np.zeros(self.n)

    def differences(self) -> NDArray[np.int64]:
        """Which of the n were not given the same probability by every service."""
        return np.flatnonzero((self.probabilities != self.probabilities[0]).any(axis=0))


class Stream:
    """A table replayed: its history into the state, then each transaction through it and to the services.

    Args:
        table: sorted by time; its labels arrive `DELAY_DAYS` after their transactions.
        batch: the batch features of the table, shape (rows, 42), to compare with.
        outcome: filled in.
        in_flight: transactions a service is given at once.
        rate: transactions a second; None sends as fast as they are answered.
        advance: called after each row of the table.
        labelled: called with a day when all labels of that day and earlier are known and all rows sent answered.
    """

    def __init__(
        self,
        table: Transactions,
        batch: NDArray[np.float32],
        outcome: Outcome,
        *,
        api_key: str | None,
        in_flight: int,
        rate: float | None,
        advance: Callable[[], None],
        labelled: Callable[[np.datetime64], None],
    ) -> None:
        self._batch, self._outcome, self._rate = batch, outcome, rate
        self._advance, self._labelled = advance, labelled
        self._transactions = transactions_of(table)
        self._is_fraud: list[bool] = table.is_fraud.tolist()
        self._label_days = (table.timestamp - np.timedelta64(DELAY_DAYS, "D")).astype("datetime64[D]")
        self._state = FeatureState()
        self._stopped = threading.Event()
        self._failures: list[BaseException] = []
        self._senders = [
            _Sender(url, api_key, in_flight, self._stopped, self._failures, outcome, number)
            for number, url in enumerate(outcome.urls)
        ]

    def run(self) -> None:
        """Replay everything.

        Raises:
            UserError: a service cannot be used.
        """
        try:
            self._run()
        finally:
            self._stopped.set()
            for sender in self._senders:
                sender.close()

    def _run(self) -> None:
        first, labelled, began = self._outcome.first, 0, time.perf_counter()
        for row, transaction in enumerate(self._transactions):
            label_time = transaction.timestamp - timedelta(DELAY_DAYS)
            while self._transactions[labelled].timestamp <= label_time:
                self._state.label(self._transactions[labelled], self._is_fraud[labelled])
                labelled += 1
            if row and self._label_days[row] != self._label_days[row - 1]:
                self._drain()
                self._tell_days(self._label_days[row - 1], self._label_days[row])
            if row == first:
                began = time.perf_counter()
            if row < first:
                self._check(row, self._state.update(transaction))
            else:
                self._send(row, row - first, transaction, began)
            self._advance()
        self._drain()
        self._outcome.seconds = time.perf_counter() - began
        # The labels of the last days arrive after the last transaction.
        last = self._label_days[-1]
        self._tell_days(last, last + np.timedelta64(DELAY_DAYS + 1, "D"))

    def _tell_days(self, begin: np.datetime64, end: np.datetime64) -> None:
        for day in np.arange(begin, end):
            self._labelled(day)

    def _send(self, row: int, number: int, transaction: Transaction, began: float) -> None:
        for sender in self._senders:
            sender.acquire()
        if self._failures:
            raise self._failures[0]
        arrived = time.perf_counter()
        if self._rate is not None:
            due = began + number / self._rate
            if due > arrived:
                time.sleep(due - arrived)
            arrived = due  # a replay that falls behind its rate has made the transaction wait
        before = time.perf_counter()
        features = self._state.update(transaction)
        self._outcome.update_seconds[number] = time.perf_counter() - before
        self._check(row, features)
        body = request_body(features)
        for sender in self._senders:
            sender.put(number, body, arrived)

    def _drain(self) -> None:
        """Wait until all that was sent is answered."""
        for sender in self._senders:
            sender.drain()
        if self._failures:
            raise self._failures[0]

    def _check(self, row: int, features: NDArray[np.float32]) -> None:
        expected = self._batch[row]
        if features.tobytes() == expected.tobytes():
            return
        outcome = self._outcome
        outcome.skewed_rows += 1
        for name, online, batch in zip(FEATURE_NAMES, features, expected, strict=True):
            if online.tobytes() != batch.tobytes() and len(outcome.skew) < MAX_SHOWN:
                name_of_row = self._transactions[row].transaction_id
                outcome.skew.append(f"transaction {name_of_row}: {name} is {online!s} online, {batch!s} in the batch")


class _Sender:
    """The connections to one service, a thread each."""

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
                    self._outcome.retries += answer.retries
                self._outcome.versions.add(answer.model_version)
            except Exception as error:  # raised again where the table is read
                self._failures.append(error)
                self._stopped.set()
            finally:
                self._free.release()
        connection.close()


def transactions_of(table: Transactions) -> list[Transaction]:
    """The rows of a table, one by one."""
    names = ("transaction_id", "timestamp", "customer_id", "terminal_id", "amount")
    columns = table.columns()
    return [Transaction(*row) for row in zip(*(columns[name].tolist() for name in names), strict=True)]


def request_body(features: NDArray[np.float32]) -> bytes:
    """The body of `POST /score` for a row, shape (42,): every float32 as it is, NaN as null."""
    values = [None if math.isnan(value) else value for value in features.tolist()]
    return json.dumps({"features": values}, separators=(",", ":")).encode()
