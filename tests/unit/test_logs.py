"""A log that nobody reads holds nobody up."""

from __future__ import annotations

import contextlib
import os
import time

from shared.telemetry.logs import MAX_CHUNKS, LineWriter


def test_a_stalled_reader_costs_lines_and_no_time() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "w") as stream, os.fdopen(read_end) as reader:
        writer = LineWriter(stream)
        line = "x" * 1000 + "\n"
        began = time.monotonic()
        for _ in range(3 * MAX_CHUNKS):
            writer.write(line)
        # The pipe holds 64 kB: had the writes gone into it, the last would never have returned.
        assert time.monotonic() - began < 10
        received: list[str] = []
        while len(received) < MAX_CHUNKS // 2:
            received.append(reader.readline())
        writer.write("after\n")
        while received[-1] != "after\n":
            received.append(reader.readline())
        assert any("log lines dropped" in text for text in received)
        assert len(received) < 3 * MAX_CHUNKS


def test_a_closed_stream_ends_the_log_and_not_the_service() -> None:
    read_end, write_end = os.pipe()
    stream = os.fdopen(write_end, "w")
    writer = LineWriter(stream)
    os.close(read_end)
    for _ in range(3):
        writer.write("nobody reads this\n")
    writer.close()
    with contextlib.suppress(BrokenPipeError):
        stream.close()
