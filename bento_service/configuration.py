"""BentoML's own configuration, set before anything of it is loaded.

These hold however the service is started: a Bento's image runs `bentoml serve` itself. A variable that is already
set wins.
"""

from __future__ import annotations

import os

OPTIONS = (
    # Spans per ASGI message, built even when nothing exports them.
    'tracing.excluded_urls=".*"',
)


def configure() -> None:
    """Sets the environment variables that BentoML reads."""
    os.environ.setdefault("BENTOML_CONFIG_OPTIONS", " ".join(OPTIONS))
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
