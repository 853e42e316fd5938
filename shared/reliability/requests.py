"""Requests whose right answers are known: the golden rows of a model package, or of several versions of one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.contract import routes
from shared.model.manifest import Manifest

TOLERANCE = 2e-6
"""Largest difference from the packaged probability that an answer may show: the contract's."""

MAX_ROWS = 1024
MAX_KNOWN = 4
"""Right answers that a request remembers: one for each version."""


class WrongAnswer(Exception):  # noqa: N818 - what happened, not an error of ours
    """A 200 that does not say what the model says."""


@dataclass(frozen=True)
class Request:
    """A request to `/score` or `/score/batch`.

    Attributes:
        path: of the route.
        body: JSON.
        expected: by model version, the probabilities that answer it.
    """

    path: str
    body: bytes
    expected: Mapping[str, Sequence[float]]
    _known: dict[bytes, str] = field(default_factory=dict, repr=False, compare=False)

    def content(self, request_id: str, *, close: bool = False) -> bytes:
        """The bytes to send."""
        return (
            f"POST {self.path} HTTP/1.1\r\nhost: service\r\ncontent-type: application/json\r\n"
            f"x-request-id: {request_id}\r\ncontent-length: {len(self.body)}\r\n"
            f"{'connection: close' if close else 'accept: application/json'}\r\n\r\n"
        ).encode() + self.body

    def version_of(self, body: bytes) -> str:
        """The model version that a 200 names, whose probabilities it gives. Raises WrongAnswer."""
        # The same row gets the same bytes: what was found right once needs no second look.
        known = self._known.get(body)
        if known is not None:
            return known
        try:
            answer = json.loads(body)
            version = str(answer["model_version"])
            given = answer["probabilities"] if self.path == routes.SCORE_BATCH else [answer["probability"]]
            expected = self.expected[version]
            worst = max(abs(one - other) for one, other in zip(given, expected, strict=True))
        except (ValueError, KeyError, TypeError) as error:
            raise WrongAnswer(f"not the answer to this request: {error!r}") from None
        if not worst <= TOLERANCE:
            raise WrongAnswer(f"a probability is {worst:g} away from that of version {version}")
        if len(self._known) < MAX_KNOWN:
            self._known[body] = version
        return version


def single_rows(*manifests: Manifest) -> list[Request]:
    """A request for each golden row of the first manifest; the others must have the same rows."""
    rows = _same_rows(manifests)
    return [
        Request(
            routes.SCORE,
            json.dumps({"features": row}).encode(),
            {manifest.version: [manifest.golden.probabilities[index]] for manifest in manifests},
        )
        for index, row in enumerate(rows)
    ]


def batches(sizes: Sequence[int], *manifests: Manifest) -> list[Request]:
    """A request for each size in rows, at most 1,024: the golden rows, repeated."""
    rows = _same_rows(manifests)

    def first(values: Sequence[object], size: int) -> list[object]:
        return [values[index % len(values)] for index in range(size)]

    return [
        Request(
            routes.SCORE_BATCH,
            json.dumps({"rows": first(rows, size)}).encode(),
            {m.version: [m.golden.probabilities[index % len(rows)] for index in range(size)] for m in manifests},
        )
        for size in sizes
    ]


def bad_requests(manifest: Manifest) -> list[Request]:
    """Requests that are to be refused: no JSON, or JSON that breaks the schema. A 200 to one is a wrong answer."""
    row = manifest.golden.rows[0]
    bodies = [
        b"",
        b'{"features":[1,2',
        b'{"features":[' + b",".join([b"NaN"] * len(row)) + b"]}",
        json.dumps([row]).encode(),
        json.dumps({"features": row[:-1]}).encode(),
        json.dumps({"features": [*row[:-1], "x"]}).encode(),
        json.dumps({"features": [*row[:-1], 1e39]}).encode(),
        json.dumps({"features": row, "more": 1}).encode(),
        json.dumps({"rows": [row] * 20 + [row[:-1]]}).encode(),
        json.dumps({"rows": []}).encode(),
    ]
    return [Request(path, body, {}) for body in bodies for path in (routes.SCORE, routes.SCORE_BATCH)]


def _same_rows(manifests: Sequence[Manifest]) -> list[list[float | None]]:
    rows = manifests[0].golden.rows
    if any(manifest.golden.rows != rows for manifest in manifests):
        raise ValueError("packages compared under load must have the same golden rows")
    return rows
