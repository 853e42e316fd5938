"""Files of metrics whose disk space is taken when they are made, not when they are written.

prometheus_client maps its files into memory, and makes them long before it fills them. On a disk that fills up meanwhile
the first write to such a page ends the process: SIGBUS, which nothing in Python can catch. Space that cannot be had
raises OSError here instead, before anything is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client import mmap_dict, values

from shared.telemetry.files import FILE_BYTES, allocate


class AllocatedDict(mmap_dict.MmapedDict):
    """As prometheus_client's, but for when it takes its space.

    Raises:
        OSError: there is no room for the file, or for it to grow; what it held it still holds.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            with Path(filename).open("ab") as file:
                if not file.tell():
                    allocate(file.fileno(), FILE_BYTES)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        # More than it needs: the key is padded.
        needed = self._used + len(key.encode()) + 64
        capacity = self._capacity
        while needed > capacity:
            capacity *= 2
        if capacity > self._capacity:
            allocate(self._f.fileno(), capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def install() -> None:
    """Makes prometheus_client use it in this process."""
    module: Any = values
    module.MmapedDict = AllocatedDict
