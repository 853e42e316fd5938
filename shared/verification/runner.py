"""Asks a service every vector and compares the answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.verification.client import Answer, NoAnswer, Target, exchange, request_bytes
from shared.verification.patterns import ABSENT, Difference, Matcher, same, show
from shared.verification.templates import Variables, body
from shared.verification.vectors import Vector, VectorSet

PROBLEM_CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Result:
    """What became of one vector.

    Attributes:
        vector: that was asked.
        differences: none where the service did as it must.
        skipped: why it was not asked, or None.
        seconds: the exchange took.
    """

    vector: Vector
    differences: list[Difference] = field(default_factory=list)
    skipped: str | None = None
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.differences and self.skipped is None


ANSWERS_TO_WHOLE_BODIES = frozenset({200, 400, 422})
"""Statuses that a body gets which is within the limit."""


class Runner:
    """Asks one service the vectors of one file.

    Args:
        target: the service.
        vectors: the file.
        variables: see `shared.verification.templates.Variables`.
        capabilities: that vectors may require.
    """

    def __init__(
        self, target: Target, vectors: VectorSet, variables: Variables, capabilities: Collection[str] = ()
    ) -> None:
        self.target = target
        self.vectors = vectors
        self.variables = variables
        self.capabilities = capabilities

    def run(self, finished: Callable[[Result], None] = lambda result: None) -> list[Result]:
        """Every vector in turn."""
        results = []
        for vector in self.vectors.vectors:
            results.append(self.check(vector))
            finished(results[-1])
        return results

    def check(self, vector: Vector) -> Result:
        """One vector."""
        missing = [name for name in vector.requires if name not in self.capabilities]
        if missing:
            return Result(vector, skipped=f"needs {', '.join(missing)}")
        if self.variables["features"] < vector.min_features:
            return Result(vector, skipped=f"needs a model of {vector.min_features} features or more")
        size, limit = len(self._content(vector) or b""), self.variables["max_body_bytes"]
        if size > limit and vector.response["status"] in ANSWERS_TO_WHOLE_BODIES:
            return Result(vector, skipped=f"needs a body limit of {size} bytes or more")
        started = time.perf_counter()
        try:
            answer = self.ask(vector)
            differences = self.compare(vector, answer)
        except NoAnswer as error:
            differences = [Difference("answer", "one", str(error))]
        return Result(vector, differences, seconds=time.perf_counter() - started)

    def ask(self, vector: Vector) -> Answer:
        """Sends the vector's request.

        Raises:
            NoAnswer: the service gave none.
        """
        request = vector.request
        content = self._content(vector)
        headers = [(name, value) for name, value in request.get("headers", ())]
        raw = request_bytes(
            self.target,
            request["method"],
            request["path"],
            headers,
            content,
            chunked=request.get("chunked", False),
        )
        return exchange(self.target, request["method"], raw, watch_close="closes" in vector.response)

    def _content(self, vector: Vector) -> bytes | None:
        return body(vector.request["body"], self.variables) if "body" in vector.request else None

    def compare(self, vector: Vector, answer: Answer) -> list[Difference]:
        """How the answer differs from what the vector wants; empty where it does not.

        Raises:
            NoAnswer: a vector it is to be compared with got none.
        """
        expected = vector.response
        matcher = Matcher(self.variables, answer.first_headers())
        matcher.match("status", expected["status"], answer.status)
        headers = {**self.vectors.every_response, **expected.get("headers", {})}
        if "problem" in expected:
            headers["content-type"] = PROBLEM_CONTENT_TYPE
        for name, pattern in headers.items():
            _match_header(matcher, name, pattern, answer)
        if expected.get("closes") and not answer.closed:
            matcher.differ("connection", "closed by the service", "open")
        self._match_body(matcher, expected, answer)
        text = answer.body.decode("utf-8", "replace")
        for excluded in expected.get("excludes", ()):
            if excluded in text:
                matcher.differ("body", f"without {show(excluded)}", text)
        if not matcher.differences and "same_body_as" in expected:
            other = self.ask(self.vectors[expected["same_body_as"]])
            if not same(_json(other.body), _json(answer.body)):
                matcher.differ("body", f"that of {expected['same_body_as']}: {other.body!r}", text)
        return matcher.differences

    def _match_body(self, matcher: Matcher, expected: Mapping[str, Any], answer: Answer) -> None:
        if expected.get("empty"):
            if answer.body:
                matcher.differ("body", "empty", answer.body.decode("utf-8", "replace"))
        elif "text" in expected:
            matcher.match("body", expected["text"], answer.body.decode("utf-8", "replace"))
        elif "json" in expected or "problem" in expected:
            try:
                value = _json(answer.body)
            except ValueError as error:
                matcher.differ("body", f"JSON ({error})", answer.body.decode("utf-8", "replace"))
                return
            matcher.match("body", self._json_pattern(expected), value)

    def _json_pattern(self, expected: Mapping[str, Any]) -> Any:
        if "problem" not in expected:
            return expected["json"]
        pattern = dict(self.vectors.problems[expected["problem"]])
        if "errors" in expected:
            pattern["errors"] = expected["errors"]
        return pattern


def _match_header(matcher: Matcher, name: str, pattern: Any, answer: Answer) -> None:
    if pattern is None:
        prefix = name.removesuffix("*")
        for key, value in answer.headers:
            if key == name or (name.endswith("*") and key.startswith(prefix)):
                matcher.differ(f"header {key}", ABSENT, value)
        return
    values = answer.header(name)
    if len(values) == 1:
        matcher.match(f"header {name}", pattern, values[0])
    else:
        matcher.differ(f"header {name}", f"once, {show(pattern)}", values or ABSENT)


def _json(content: bytes) -> Any:
    """Raises ValueError for what is not JSON, NaN and Infinity included."""
    return json.loads(content, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
