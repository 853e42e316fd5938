"""What loading leaves behind goes back to the system."""

from __future__ import annotations

import ctypes
import platform

import psutil
import pytest

from shared.model.memory import give_back

BLOCKS, BYTES = 100_000, 400


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to")
def test_freed_memory_is_given_back() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    blocks = [libc.malloc(BYTES) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BYTES)
    # All but the last: what lies below it is not given back by itself.
    for block in blocks[:-1]:
        libc.free(block)
    before = psutil.Process().memory_info().rss
    give_back()
    assert before - psutil.Process().memory_info().rss > BLOCKS * BYTES / 2
    libc.free(blocks[-1])
