"""What BentoML reads from the environment, set before anything of it is loaded.

It holds however the service is started, by `bentoml serve` too.
"""

from __future__ import annotations

import os


def configure() -> None:
    """Call it before BentoML is imported."""
    # BentoML reports its usage to its makers unless told not to.
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    # In a container, which this variable tells of, BentoML's supervisor would not replace a worker that was killed.
    os.environ.pop("BENTOML_CONTAINERIZED", None)
