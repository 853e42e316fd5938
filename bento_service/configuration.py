"""What BentoML reads from the environment, set before anything of it is loaded.

It holds however the service is started: a Bento's image runs `bentoml serve` itself. A variable that is already set
wins.
"""

from __future__ import annotations

import os


def configure() -> None:
    """BentoML reports its usage to its makers unless told not to."""
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
