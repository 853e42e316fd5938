"""A scrape when workers have died, while other workers are scraped."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict, mmap_key

from shared.telemetry import multiprocess
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


def test_what_gone_servers_left_goes_and_nothing_else(tmp_path: Path) -> None:
    """Other versions, and other containers, may keep folders of other names in the same place."""
    code = "import os; from shared.telemetry.multiprocess import temporary_directory as t; print(t().name)"
    clean = {**os.environ, "TMPDIR": str(tmp_path)}
    gone = subprocess.run(
        [sys.executable, "-c", code.replace("print(t().name)", "d = t(); print(d.name, flush=True); os._exit(0)")],
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert Path(gone).is_dir()
    namespace, *_ = Path(gone).name.removeprefix("twinscore-metrics-").split("-")
    kept = ["ns1-99999-1", "99999999999999-1", "99999-1", "x", "a-b-c", f"{namespace}-x-1"]
    mine = multiprocess._name(os.getpid())
    names = [mine, *(f"twinscore-metrics-{name}" for name in kept)]
    for name in [*names, f"twinscore-metrics-{namespace}-99999999999999-1"]:
        (tmp_path / name).mkdir()
    subprocess.run([sys.executable, "-c", code], env=clean, check=True, capture_output=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
