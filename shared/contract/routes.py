"""The routes of the contract and the methods each answers."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

GET: Final = frozenset({"GET", "HEAD"})
POST: Final = frozenset({"POST"})

SCORE: Final = "/score"
SCORE_BATCH: Final = "/score/batch"
MODEL: Final = "/model"
LIVEZ: Final = "/livez"
HEALTHZ: Final = "/healthz"
READYZ: Final = "/readyz"
OPENAPI: Final = "/openapi.json"
METRICS: Final = "/metrics"
DOCS: Final = "/docs"
DOCS_FILES: Final = "/docs/"
"""Prefix of the files that the page at `/docs` loads."""

PROBES: Final = frozenset({LIVEZ, HEALTHZ, READYZ})
"""Never refused, for load or for keys."""

ROUTES: Final = MappingProxyType(
    {
        SCORE: POST,
        SCORE_BATCH: POST,
        MODEL: GET,
        LIVEZ: GET,
        HEALTHZ: GET,
        READYZ: GET,
        METRICS: GET,
        OPENAPI: GET,
        DOCS: GET,
    }
)
