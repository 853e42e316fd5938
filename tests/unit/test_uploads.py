"""Room for bodies is given in turn, and comes back whole."""

from __future__ import annotations

import asyncio

import pytest

from shared.serving.uploads import SMALL_BYTES, Uploads

BODY = 2 * SMALL_BYTES


def test_room_is_given_in_turn() -> None:
    async def scenario() -> None:
        uploads = Uploads(2 * BODY)
        assert await uploads.take(SMALL_BYTES) == 0
        first, second = await uploads.take(BODY), await uploads.take(BODY)
        assert (first, second) == (BODY, BODY)
        large = asyncio.create_task(uploads.take(10 * BODY))
        after = asyncio.create_task(uploads.take(BODY))
        await asyncio.sleep(0)
        uploads.give(first)
        await asyncio.sleep(0)
        # There would be room for the later one; the large one would then never have its turn.
        assert not large.done()
        assert not after.done()
        uploads.give(second)
        assert await large == 2 * BODY
        assert not after.done()
        uploads.give(2 * BODY)
        uploads.give(await after)
        assert await uploads.take(2 * BODY) == 2 * BODY

    asyncio.run(scenario())


@pytest.mark.parametrize("late", [False, True])
def test_who_gives_up_takes_nothing(late: bool) -> None:
    async def scenario() -> None:
        uploads = Uploads(BODY)
        taken = await uploads.take(BODY)
        waiting, after = asyncio.create_task(uploads.take(BODY)), asyncio.create_task(uploads.take(BODY))
        await asyncio.sleep(0)
        if late:
            uploads.give(taken)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        if not late:
            uploads.give(taken)
        uploads.give(await asyncio.wait_for(after, 5))
        assert await asyncio.wait_for(uploads.take(BODY), 5) == BODY

    asyncio.run(scenario())
