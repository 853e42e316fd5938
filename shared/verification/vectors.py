"""The contract vectors: JSON data that says what must come out for what goes in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

FORMAT = 1
PROTOCOL_FILE = "protocol.json"


@dataclass(frozen=True)
class Vector:
    """One request and the answer it must get.

    Attributes:
        id: unique in its file, `topic.case`.
        about: what it shows, in a line.
        request: `method`, `path`, `headers`, `body`, `chunked`.
        response: `status`, `headers`, one of `problem`, `json`, `text`, `empty`; see the README.
        requires: capabilities that a service, or the way it is reached, must have.
        min_features: the smallest feature count it can be asked of.
    """

    id: str
    about: str
    request: Mapping[str, Any]
    response: Mapping[str, Any]
    requires: Sequence[str] = ()
    min_features: int = 1


@dataclass(frozen=True)
class VectorSet:
    """A file of vectors.

    Attributes:
        vectors: in the order of the file.
        problems: problem documents by name, patterns in them.
        every_response: header patterns that hold for every answer.
    """

    vectors: Sequence[Vector]
    problems: Mapping[str, Mapping[str, Any]]
    every_response: Mapping[str, Any]

    def __getitem__(self, identifier: str) -> Vector:
        return next(vector for vector in self.vectors if vector.id == identifier)

    def starting_with(self, prefix: str) -> VectorSet:
        """Those whose id starts with `prefix`."""
        return replace(self, vectors=[vector for vector in self.vectors if vector.id.startswith(prefix)])


def parse_vectors(document: Mapping[str, Any]) -> VectorSet:
    """Reads the JSON document of a vector file.

    Raises:
        ValueError: it is of another format.
    """
    if document.get("format") != FORMAT:
        raise ValueError(f"vector files of format {FORMAT} are known, not {document.get('format')}")
    return VectorSet(
        vectors=[
            Vector(
                id=item["id"],
                about=item["about"],
                request=item["request"],
                response=item["response"],
                requires=item.get("requires", ()),
                min_features=item.get("min_features", 1),
            )
            for item in document["vectors"]
        ],
        problems=document["problems"],
        every_response=document["every_response"]["headers"],
    )


@cache
def protocol_document() -> Mapping[str, Any]:
    """The shipped protocol vectors, as they stand in the file."""
    file = resources.files("shared.contract") / "vectors" / PROTOCOL_FILE
    document: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


@cache
def protocol_vectors() -> VectorSet:
    """The vectors that hold for any model."""
    return parse_vectors(protocol_document())
