"""The wire contract: bodies, problems, routes, the OpenAPI document, the page that renders it, the vectors."""

from pathlib import Path

DOCS_FOLDER = Path(__file__).parent / "docs"
"""The page served at `/docs` and the files it loads."""
