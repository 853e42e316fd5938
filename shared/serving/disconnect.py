"""Clients that go away or do not read before their answer is sent: no fault of the service's, and no line of its log."""

from __future__ import annotations

import logging

UNANSWERED = "ASGI callable returned without"
"""uvicorn's word for an application that ends before its answer does. The edge ends so for such clients alone: whatever
a framework fails to answer, it answers itself."""


def is_disconnect(error: RuntimeError) -> bool:
    """Whether this is uvloop's word for a connection that the client has reset meanwhile."""
    return "handler is closed" in str(error)


logging.getLogger("uvicorn.error").addFilter(lambda record: not str(record.msg).startswith(UNANSWERED))
