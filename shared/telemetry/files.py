"""Disk space that is taken when a file is made, not when it is written."""

from __future__ import annotations

import os
from typing import Final

FILE_BYTES: Final = 1 << 18
"""Of each file of metrics: twice what the known series take, so that few ever grow."""

FILES: Final = 5
"""Of metrics, of a process: counters, histograms, and three kinds of gauges."""


def allocate(descriptor: int, size: int) -> None:
    """Makes a file at least `size` bytes long, all of them on the disk. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:  # macOS has no such call: zeros that are written take the space too
        length = os.fstat(descriptor).st_size
        os.pwrite(descriptor, bytes(max(0, size - length)), length)
