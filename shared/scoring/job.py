"""A file scored from end to end: read, sent in batches over a few connections, written in the order it was read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from shared.scoring.client import Scored, ScoringClient
from shared.scoring.values import Refused, Row
from shared.scoring.writing import Record, Sink

Batch = list[Row | Refused]


@dataclass
class Tally:
    """What became of the rows."""

    scored: int = 0
    refused: int = 0
    versions: set[str] = field(default_factory=set)


def score_rows(
    rows: Iterable[Row | Refused],
    client: ScoringClient,
    sink: Sink,
    *,
    by_key: bool,
    batch_rows: int,
    connections: int,
    refuse: Callable[[Refused], None],
    advance: Callable[[], None],
) -> Tally:
    """Scores every row that can be; holds at most twice as many batches as there are connections.

    Args:
        by_key: write ids, not lines or row numbers.
        batch_rows: rows of a request.
        refuse: is called with each row that is not scored, in order.
        advance: is called after each batch.

    Raises:
        UserError: the input or the service cannot be used.
    """
    tally = Tally()
    waiting: deque[tuple[Batch, Future[list[Scored]]]] = deque()

    def finish() -> None:
        batch, future = waiting.popleft()
        records = _merge(batch, future.result(), tally, by_key=by_key, refuse=refuse)
        if records:
            sink.write(records)
        advance()

    pool = ThreadPoolExecutor(connections, "score")
    try:
        for batch in _batches(rows, batch_rows):
            features = [row.features for row in batch if isinstance(row, Row)]
            waiting.append((batch, pool.submit(client.score, features)))
            if len(waiting) >= 2 * connections:
                finish()
        while waiting:
            finish()
    except BaseException:
        client.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return tally


def _merge(
    batch: Batch, answers: list[Scored], tally: Tally, *, by_key: bool, refuse: Callable[[Refused], None]
) -> list[Record]:
    """The batch's rows with their answers, in the order they were read."""
    records: list[Record] = []
    remaining = iter(answers)
    for row in batch:
        if isinstance(row, Refused):
            tally.refused += 1
            refuse(row)
            continue
        answer = next(remaining)
        if answer.probability is None:
            tally.refused += 1
            refuse(Refused(row.place, row.key, answer.reason or ""))
            continue
        tally.scored += 1
        tally.versions.add(answer.model_version)
        records.append((row.key if by_key else row.place, answer.probability, answer.model_version))
    return records


def _batches(rows: Iterable[Row | Refused], size: int) -> Iterator[Batch]:
    """Batches of `size` rows to score, with the refused ones among them; at most as many of those again."""
    batch: Batch = []
    good = 0
    for row in rows:
        batch.append(row)
        good += isinstance(row, Row)
        if good == size or len(batch) == 2 * size:
            yield batch
            batch, good = [], 0
    if batch:
        yield batch
