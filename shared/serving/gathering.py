"""When a batch begins: at once for a lone row, and where there is company when no more rows come.

A request is read in one turn of the loop, its row is queued in the next, and its answer is written a turn after its batch. Under load
clients so fall into groups, a turn apart, and each group would have a batch of its own: 21 rows of 64 connections. So a batch waits
for three turns in which no row is queued, and for `MAX_TURNS` at most. A turn in which nothing happens takes microseconds, and
there is none where the batch before was a single row.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable, Sized

CALM_TURNS = 3
"""A row may be read in the first, and is queued in the second."""

MAX_TURNS = 9


def schedule(loop: AbstractEventLoop, begin: Callable[[], None], queue: Sized, *, company: bool) -> None:
    """Has `begin` called behind what the loop has to do now.

    Args:
        queue: of the rows that are to be predicted.
        company: whether the batch before was of several rows.
    """
    if company:
        loop.call_soon(_look, loop, begin, queue, len(queue), 0, MAX_TURNS - 1)
    else:
        loop.call_soon(begin)


def _look(
    loop: AbstractEventLoop, begin: Callable[[], None], queue: Sized, rows: int, calm_turns: int, turns_left: int
) -> None:
    now = len(queue)
    calm_turns = 0 if now > rows else calm_turns + 1
    if calm_turns == CALM_TURNS or not turns_left:
        begin()
    else:
        loop.call_soon(_look, loop, begin, queue, now, calm_turns, turns_left - 1)
