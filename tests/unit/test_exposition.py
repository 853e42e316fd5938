"""A scrape when workers have died, while other workers are scraped."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict, mmap_key

from shared.telemetry.multiprocess import exposition

SCRAPES, DEAD = 6, 40


def ended() -> int:
    """The id of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def test_scrapes_at_once_after_workers_have_died(tmp_path: Path) -> None:
    pids = [ended() for _ in range(DEAD)]
    for pid in pids:
        for mode in ("livesum", "livemin", "livemax"):
            values = MmapedDict(str(tmp_path / f"gauge_{mode}_{pid}.db"))
            values.write_value(mmap_key(f"a_{mode}", f"a_{mode}", ["pid"], [str(pid)], "help"), 1.0, 0.0)
            values.close()
    begin = threading.Barrier(SCRAPES)

    def scrape(_: int) -> bytes:
        begin.wait()
        return exposition(tmp_path)

    with ThreadPoolExecutor(SCRAPES) as threads:
        assert len(list(threads.map(scrape, range(SCRAPES)))) == SCRAPES
    assert exposition(tmp_path) == b""
    assert not list(tmp_path.glob("gauge_live*"))
