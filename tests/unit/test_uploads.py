"""Room for bodies is given in turn, and comes back whole."""

from __future__ import annotations

import asyncio

import pytest

from shared.serving.uploads import Uploads

BODY = 100_000


def test_room_is_given_in_turn() -> None:
    async def scenario() -> None:
        uploads = Uploads(2 * BODY)
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


def test_all_room_comes_back_where_those_who_have_it_and_those_who_wait_give_up_at_once() -> None:
    """A deadline ends many requests in one go, the oldest first."""

    async def scenario() -> None:
        uploads = Uploads(2 * BODY)

        async def hold() -> None:
            taken = await uploads.take(BODY)
            try:
                await asyncio.Event().wait()
            finally:
                uploads.give(taken)

        requests = [asyncio.create_task(hold()) for _ in range(8)]
        await asyncio.sleep(0)
        for request in requests:
            request.cancel()
        outcomes = await asyncio.gather(*requests, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError}
        assert await asyncio.wait_for(uploads.take(2 * BODY), 5) == 2 * BODY

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
