"""How many files and connections a process may have open."""

from __future__ import annotations

import resource


def raise_file_limit() -> int:
    """Raises this process's limit, which its children inherit, as far as it goes; returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
