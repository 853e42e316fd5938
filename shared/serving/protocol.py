"""uvicorn's protocol of a connection: heads as HTTP has them, requests in turns, an answer in one write, a pause after a refusal,
one timer for idle ones."""

from __future__ import annotations

import asyncio
from typing import Any

from shared.serving.backpressure import Backpressure
from shared.serving.heads import limited
from shared.serving.turns import Turns, in_turns
from shared.serving.writing import JoiningTransport


def protocol(plain: Any, backpressure: Backpressure, turns: Turns, head_seconds: float) -> Any:
    """A class in place of `plain`, uvicorn's own."""

    class Protocol(in_turns(limited(plain, head_seconds), turns)):  # type: ignore[misc]
        transport: Any

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(JoiningTransport(transport))

        def connection_lost(self, exc: Exception | None) -> None:
            backpressure.forget(self)
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            self.transport.flush()
            super().on_response_complete()
            if self.transport.refused:
                self.transport.refused = False
                if not self.transport.is_closing() and backpressure.hold(self):
                    self.flow.pause_reading()

        def resume(self) -> None:
            if not self.transport.is_closing():
                self.flow.resume_reading()

        def handle_websocket_upgrade(self, *event: Any) -> None:
            # Another protocol takes the connection over, but an answer to an earlier request may still be under way.
            joining, self.transport = self.transport, self.transport.plain
            super().handle_websocket_upgrade(*event)
            self.transport = joining

    return Protocol
