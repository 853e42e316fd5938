"""Transactions in the order of their times: into the feature state, and their rows to every service."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from shared.model.features.definition import DELAY_DAYS, FEATURE_NAMES
from shared.model.features.state import FeatureState, Transaction
from shared.model.features.transactions import Transactions
from shared.replay.outcome import MAX_SHOWN, Outcome
from shared.replay.sender import Sender

CHUNK_ROWS = 10_000
"""Rows of a table made into objects at once: all of them would take more memory than all else."""

ADVANCE_ROWS = 100
"""Rows between two reports of progress: each costs as much as a row's features."""


class Stream:
    """A table replayed: its history into the state, then each transaction through it and to the services.

    Args:
        table: sorted by time; its labels arrive `DELAY_DAYS` after their transactions.
        batch: the batch features of the table, shape (rows, 42), to compare with.
        outcome: filled in.
        in_flight: transactions a service is given at once.
        rate: transactions a second; None sends as fast as they are answered.
        advance: called now and then with the number of rows done.
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
        advance: Callable[[int], None],
        labelled: Callable[[np.datetime64], None],
    ) -> None:
        self._batch, self._outcome, self._rate = batch, outcome, rate
        self._advance, self._labelled = advance, labelled
        self._table = table
        self._label_days = (table.timestamp - np.timedelta64(DELAY_DAYS, "D")).astype("datetime64[D]")
        self._state = FeatureState()
        self._stopped = threading.Event()
        self._failures: list[BaseException] = []
        self._senders = [
            Sender(url, api_key, in_flight, self._stopped, self._failures, outcome, number)
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
        first, began = self._outcome.first, time.perf_counter()
        unlabelled: deque[tuple[Transaction, bool]] = deque()
        labels = self._table.is_fraud.tolist()
        for row, (transaction, is_fraud) in enumerate(zip(transactions_of(self._table), labels, strict=True)):
            label_time = transaction.timestamp - timedelta(DELAY_DAYS)
            while unlabelled and unlabelled[0][0].timestamp <= label_time:
                self._state.label(*unlabelled.popleft())
            unlabelled.append((transaction, is_fraud))
            if row and self._label_days[row] != self._label_days[row - 1]:
                self._drain()
                self._tell_days(self._label_days[row - 1], self._label_days[row])
            if row == first:
                began = time.perf_counter()
            if row < first:
                self._check(row, self._state.update(transaction))
            else:
                self._send(row, row - first, transaction, began)
            if row % ADVANCE_ROWS == 0:
                self._advance(row)
        self._drain()
        self._advance(len(self._table))
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
                name_of_row = self._table.transaction_id[row]
                outcome.skew.append(f"transaction {name_of_row}: {name} is {online!s} online, {batch!s} in the batch")


def transactions_of(table: Transactions) -> Iterator[Transaction]:
    """The rows of a table, one by one."""
    names = ("transaction_id", "timestamp", "customer_id", "terminal_id", "amount")
    for begin in range(0, len(table), CHUNK_ROWS):
        columns = table.select(slice(begin, begin + CHUNK_ROWS)).columns()
        for row in zip(*(columns[name].tolist() for name in names), strict=True):
            yield Transaction(*row)


def request_body(features: NDArray[np.float32]) -> bytes:
    """The body of `POST /score` for a row, shape (42,): every float32 as it is, NaN as null."""
    values = [None if math.isnan(value) else value for value in features.tolist()]
    return json.dumps({"features": values}, separators=(",", ":")).encode()
