"""When a batch begins: at once for a lone row, and after two turns of the event loop where there is company.

A request is read in one turn of the loop, its row is queued in the next, and its answer is written a turn after its batch. Under load
clients so fall into groups, a turn apart, and each group would have a batch of its own: 21 rows of 64 connections. Two turns
let the groups catch up with each other, and the batches hold 63. A turn in which nothing happens takes microseconds, and there
is none where the batch before was a single row.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable


def schedule(loop: AbstractEventLoop, begin: Callable[[], None], *, company: bool) -> None:
    """Has `begin` called behind what the loop has to do now.

    Args:
        company: whether the batch before was of several rows.
    """
    if company:
        loop.call_soon(loop.call_soon, loop.call_soon, begin)
    else:
        loop.call_soon(begin)
