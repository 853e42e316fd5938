"""What a family of processes uses, read from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICK_SECONDS = 1.0 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """Of all processes together.

    Attributes:
        cpu_seconds: user and system time since each began.
        rss_mb: resident memory, what is shared counted in every process.
        pss_mb: resident memory, what is shared divided among those that share it.
        processes: how many there are.
    """

    cpu_seconds: float
    rss_mb: float
    pss_mb: float
    processes: int


def family(pid: int) -> list[int]:
    """The process and all its descendants, whatever sessions they have moved to."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        waiting.extend(children.get(current, []))
    return found


def usage(pid: int) -> Usage:
    """Of the process and its descendants."""
    cpu = rss = pss = 0.0
    members = family(pid)
    for member in members:
        fields = _stat(member)
        if fields is not None:
            # Fields 14 and 15 of proc(5), counted from the state, which is field 3.
            cpu += (int(fields[11]) + int(fields[12])) * TICK_SECONDS
        memory = _rollup(member)
        rss += memory.get("Rss", 0) / 1024
        pss += memory.get("Pss", 0) / 1024
    return Usage(cpu, rss, pss, len(members))


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on, or None where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _rollup(pid: int) -> dict[str, int]:
    """Kilobytes by name."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}
