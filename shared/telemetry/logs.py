"""Log lines of both services: one JSON object a line, or plain text where a person reads them at a terminal.

Lines are written by a thread of their own. Whoever reads them may stall, and a full pipe would hold the event loop.
"""

from __future__ import annotations

import atexit
import json
import logging
import queue
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal, TextIO

from shared.contract.errors import UserError

MAX_CHUNKS: Final = 1000
"""Pieces of text that wait for a reader; more are dropped, and their number is logged."""

CLOSE_SECONDS: Final = 1.0

FRAMEWORKS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "bentoml", "circus", "opentelemetry")

USER_ERROR: Final = f"{UserError.__module__}.{UserError.__qualname__}: "

LogFormat = Literal["auto", "json", "text"]


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601, UTC, in milliseconds."""
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{_second(whole)}.{milliseconds:03d}+00:00"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    """Thousands of lines have it in common."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


class LineWriter:
    """Writes text to a stream from a thread of its own; never blocks who writes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, text: str) -> None:
        if self._queue.qsize() >= MAX_CHUNKS:
            self._dropped += text.count("\n")
            return
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._queue.put(f"twinscore: {dropped} log lines dropped: nobody read them\n")
        self._queue.put(text)

    def close(self) -> None:
        """Writes what waits, within `CLOSE_SECONDS`."""
        self._queue.put(None)
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while (text := self._queue.get()) is not None:
            try:
                self.stream.write(text)
                self.stream.flush()
            except (OSError, ValueError):
                # The disk is full or the reader is gone: a service goes on without its log.
                continue


class WriterHandler(logging.Handler):
    """Sends the records of `logging` through a `LineWriter`."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        _shorten(record)
        self._writer.write(self.format(record) + "\n")


def _shorten(record: logging.LogRecord) -> None:
    """What the user got wrong takes a line; where frameworks came upon it is nothing to the user."""
    error = record.exc_info[1] if record.exc_info else None
    text = record.getMessage()
    if isinstance(error, UserError):
        record.msg, record.args, record.exc_info = f"Error: {error}", (), None
    elif text.startswith("Traceback") and USER_ERROR in text:
        # Starlette tells its server of an exception in the lifespan by its text.
        record.msg, record.args = f"Error: {text.rpartition(USER_ERROR)[2].strip()}", ()


class JsonFormatter(logging.Formatter):
    """One JSON object a line; `extra={"fields": {...}}` adds members."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self._variant = variant

    def format(self, record: logging.LogRecord) -> str:
        fields: Mapping[str, Any] = getattr(record, "fields", {})
        members = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": fields.get("event", "log"),
            "message": record.getMessage(),
            "variant": self._variant,
            "pid": record.process,
            **fields,
        }
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return json.dumps(members, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """For a terminal."""

    def __init__(self, variant: str) -> None:
        super().__init__(f"%(asctime)s {variant:7} %(levelname)-7s %(message)s", "%H:%M:%S")


class Logs:
    """How this process logs.

    Args:
        variant: which service this is: a member of every line.
        form: `auto` is text where standard error is a terminal, else JSON.
    """

    def __init__(self, variant: str, form: LogFormat) -> None:
        self.variant = variant
        self.json = form == "json" or (form == "auto" and not sys.stderr.isatty())
        self.writer = LineWriter(sys.stderr)

    def install(self) -> None:
        """Takes over the lines of this process, those of the frameworks included."""
        handler = WriterHandler(self.writer)
        handler.setFormatter(JsonFormatter(self.variant) if self.json else TextFormatter(self.variant))
        root = logging.getLogger()
        root.handlers[:] = [handler]
        root.setLevel(logging.WARNING)
        for name in FRAMEWORKS:
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.propagate = True
            logger.setLevel(logging.WARNING)
        logging.getLogger("twinscore").setLevel(logging.INFO)


def event(name: str, message: str, *arguments: object, level: int = logging.INFO, **fields: object) -> None:
    """Logs an event of the service's life, with members of its own."""
    logging.getLogger("twinscore").log(level, message, *arguments, extra={"fields": {"event": name, **fields}})
