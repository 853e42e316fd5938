"""Reading what a client still sends after it was refused, so that it gets to read the refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

MAX_DISCARDED_BYTES = 32 * 1024 * 1024
MAX_DISCARD_SECONDS = 2.0


async def discard_body(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
    """Reads until the body ends, the client goes, or a limit is reached.

    A socket closed with unread bytes is reset, and a reset can take the answer away from a client that is still
    sending (RFC 9112, section 9.6).
    """
    discarded = 0
    try:
        async with asyncio.timeout(MAX_DISCARD_SECONDS):
            while discarded <= MAX_DISCARDED_BYTES:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                discarded += len(message.get("body", b""))
    except TimeoutError:
        return
