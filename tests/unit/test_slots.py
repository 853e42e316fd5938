"""A slot is held for the work, not for the client that reads about it."""

from __future__ import annotations

import asyncio
from typing import Any

from shared.contract.errors import InternalError
from shared.serving.exchange import Exchange
from shared.serving.gate import Gate
from shared.serving.headers import RequestHeaders


def test_a_refused_request_gives_its_slot_back_before_anyone_reads_that() -> None:
    async def scenario() -> None:
        gate = Gate(max_in_flight=1, deadline_seconds=10)
        gate.open()
        read = asyncio.Event()

        async def send(message: Any) -> None:
            await read.wait()

        exchange = Exchange(gate, "x", asyncio.Future, send)
        exchange.begin("POST", "/score", {}, RequestHeaders([]))
        exchange.admit(1)
        assert gate.in_flight == 1
        answering = asyncio.create_task(exchange.refuse(InternalError()))
        await asyncio.sleep(0)
        assert gate.in_flight == 0
        gate.admit()
        read.set()
        await answering
        exchange.close()
        assert gate.in_flight == 1

    asyncio.run(scenario())


def test_a_service_told_to_stop_while_it_loads_is_never_ready() -> None:
    async def scenario() -> None:
        gate = Gate(max_in_flight=1, deadline_seconds=10)
        gate.begin_drain()
        gate.open()
        assert not gate.ready
        assert gate.accepting

    asyncio.run(scenario())
