"""A replay from end to end: the table, the services, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.contract.errors import UserError
from shared.contract.wire import MAX_BATCH_REQUEST_ROWS, ModelCard
from shared.model.features.batch import compute_features
from shared.model.features.definition import FEATURE_NAMES
from shared.model.features.transactions import Transactions
from shared.replay.figures import COMPARED, Day, day_figures, evaluated_rows, figures, is_cards_own_test
from shared.replay.outcome import MAX_SHOWN, Outcome
from shared.replay.stream import Stream
from shared.scoring.client import ScoringClient

CARD_TOLERANCE = 2e-3
"""How far the model card's figures may be off. They come from XGBoost itself, whose last bits may order two cards of all
but equal scores the other way: one in card precision@100 over seven days makes 1.4e-3. Against the offline evaluation
of what is served, by contrast, nothing may be off."""


@dataclass
class Report:
    """What a replay found. `faults` are what must not be: skew, differences, figures that are not the offline ones."""

    outcome: Outcome
    card: ModelCard
    threshold: float
    days: list[Day] = field(default_factory=list)
    online: dict[str, Any] | None = None
    """Figures of all transactions sent; None where they hold no fraud, or nothing else."""
    evaluated: dict[str, Any] | None = None
    """Figures of those that the offline evaluation takes."""
    offline: dict[str, Any] | None = None
    """The same rows' offline: their batch features, scored in batches by the first service."""
    not_evaluated: str = ""
    """Why `evaluated` is None."""
    own_test: bool = False
    """Whether the rows are the model card's own test, whose figures are then found again."""
    faults: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        outcome = self.outcome
        return {
            "urls": list(outcome.urls),
            "model": {"name": self.card.name, "version": self.card.version, "sha256": self.card.sha256},
            "transactions": outcome.n,
            "history": outcome.first,
            "seconds": outcome.seconds,
            "skewed_rows": outcome.skewed_rows,
            "differences": len(outcome.differences()),
            "retries": int(outcome.retries.sum()),
            "latency_ms": {
                url: percentiles(latency * 1e3) for url, latency in zip(outcome.urls, outcome.latency, strict=True)
            },
            "update_us": percentiles(outcome.update_seconds * 1e6),
            "threshold": self.threshold,
            "alerts": self.alerts,
            "figures": self.online,
            "evaluated": self.evaluated,
            "offline": self.offline,
            "not_evaluated": self.not_evaluated,
            "card": self.card.evaluation if self.own_test else None,
            "days": [asdict(day) | {"day": day.day.isoformat()} for day in self.days],
            "faults": self.faults,
        }

    @property
    def alerts(self) -> int:
        """Transactions at the threshold or above."""
        return int((self.outcome.probabilities[0].astype(np.float32) >= self.threshold).sum())


def percentiles(values: NDArray[np.float64]) -> dict[str, float]:
    """p50, p99 and the largest."""
    p50, p99, largest = np.percentile(values, [50, 99, 100])
    return {"p50": float(p50), "p99": float(p99), "max": float(largest)}


def served_model(clients: Sequence[ScoringClient]) -> ModelCard:
    """What the services serve.

    Raises:
        UserError: one cannot be used, they serve different models, or the model is not one of these features.
    """
    cards = [client.card() for client in clients]
    for client, card in zip(clients, cards, strict=True):
        if card.sha256 != cards[0].sha256:
            raise UserError(
                f"{clients[0].url} serves {cards[0].name} {cards[0].version} and {client.url} {card.name} "
                f"{card.version}, of another digest; serve one model from both"
            )
    names = [feature.name for feature in cards[0].features]
    if names != list(FEATURE_NAMES):
        raise UserError(
            f"{clients[0].url} serves {cards[0].name} {cards[0].version}, whose features are not the 42 that a table "
            "of transactions gives; serve a model trained by `twinscore train`"
        )
    return cards[0]


def window(table: Transactions, begin: date | None, end: date | None) -> tuple[Transactions, int]:
    """The table up to the day `end`, that day included, and its first row of the day `begin` or later.

    Raises:
        UserError: no transactions remain.
    """
    if end is not None:
        table = table.select(table.timestamp < np.datetime64(end) + np.timedelta64(1, "D"))
    first = 0 if begin is None else int(np.searchsorted(table.timestamp, np.datetime64(begin, "us")))
    if first >= len(table):
        raise UserError("the table has no transactions on these days; choose others with --from and --to")
    return table, first


def replay(
    table: Transactions,
    first: int,
    clients: Sequence[ScoringClient],
    card: ModelCard,
    *,
    api_key: str | None,
    in_flight: int,
    rate: float | None,
    threshold: float,
    advance: Callable[[int], None],
    tell: Callable[[Day], None],
) -> Report:
    """Send the table's rows from `first` on; the ones before are history.

    Args:
        clients: one or two services that serve the model of the card.
        advance: is called now and then with the number of the table's rows done.
        tell: is called with each day when its labels have arrived.

    Raises:
        UserError: a service cannot be used.
    """
    outcome = Outcome([client.url for client in clients], first, len(table) - first)
    report = Report(outcome, card, threshold)
    batch = compute_features(table)

    def labelled(day: np.datetime64) -> None:
        told = day_figures(table, first, outcome.probabilities[0].astype(np.float32), threshold, day)
        if told is not None:
            report.days.append(told)
            tell(told)

    Stream(
        table, batch, outcome, api_key=api_key, in_flight=in_flight, rate=rate, advance=advance, labelled=labelled
    ).run()
    _find_faults(report, table)
    _compare_with_offline(report, table, batch, clients[0])
    return report


def _find_faults(report: Report, table: Transactions) -> None:
    outcome = report.outcome
    if outcome.skewed_rows:
        report.faults.append(f"{outcome.skewed_rows:,} rows of features differ from the batch's")
        report.faults += outcome.skew
    differing = outcome.differences()
    if len(differing):
        report.faults.append(f"{len(differing):,} transactions have different probabilities")
    for number in differing[:MAX_SHOWN]:
        answers = " and ".join(repr(float(probability)) for probability in outcome.probabilities[:, number])
        report.faults.append(f"transaction {table.transaction_id[outcome.first + number]}: {answers}")
    if outcome.versions != {report.card.version}:
        versions = ", ".join(sorted(outcome.versions))
        report.faults.append(f"answers came from model version {versions}; the card has {report.card.version}")


def _compare_with_offline(
    report: Report, table: Transactions, batch: NDArray[np.float32], client: ScoringClient
) -> None:
    first = report.outcome.first
    online = report.outcome.probabilities[0].astype(np.float32)
    report.online = figures(table, np.arange(first, len(table)), online, report.threshold)
    try:
        rows = evaluated_rows(table, first, report.card)
    except UserError as error:
        report.not_evaluated = str(error)
        return
    report.evaluated = figures(table, rows, online[rows - first], report.threshold)
    report.offline = figures(table, rows, _score_offline(batch[rows], client), report.threshold)
    report.own_test = is_cards_own_test(table, rows, report.card)
    if report.evaluated != report.offline:
        report.faults.append("the detection figures are not those of the offline evaluation")
    card = report.card.evaluation
    if not report.own_test or report.evaluated is None or card.get("rows") != report.evaluated["rows"]:
        report.own_test = False
        return
    for name in COMPARED:
        if name in card and abs(report.evaluated[name] - card[name]) > CARD_TOLERANCE:
            report.faults.append(f"{name} is {report.evaluated[name]}, and {card[name]} in the model card")


def _score_offline(rows: NDArray[np.float32], client: ScoringClient) -> NDArray[np.float32]:
    probabilities: list[float] = []
    for begin in range(0, len(rows), MAX_BATCH_REQUEST_ROWS):
        part = rows[begin : begin + MAX_BATCH_REQUEST_ROWS].astype(np.float64)
        values = np.where(np.isnan(part), None, part).tolist()  # type: ignore[call-overload]
        for scored in client.score(values):
            if scored.probability is None:
                raise UserError(f"{client.url} refuses a row in a batch that it scored alone: {scored.reason}")
            probabilities.append(scored.probability)
    return np.array(probabilities, dtype=np.float32)
