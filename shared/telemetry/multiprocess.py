"""Where the processes of one server put their metrics, and how a scrape sums them.

prometheus_client's multiprocess mode keeps each process's values in memory-mapped files of one folder, and decides
for it when it is first imported. Both variants use it with one worker too, so that their expositions are alike.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING

from shared.contract.errors import UserError
from shared.telemetry.files import FILE_BYTES, FILES, allocate

if TYPE_CHECKING:
    from prometheus_client import Metric

DIRECTORY_VARIABLE = "TWINSCORE_METRICS_DIR"
"""Set by `twinscore serve` for the processes of one server."""

PREFIX = "twinscore-metrics-"


def use_directory(server_pid: int | None = None) -> Path:
    """Makes prometheus_client keep this process's values in the folder of its server.

    Args:
        server_pid: the process that all workers of the server share as a parent; None takes the parent that
            Python's multiprocessing knows of, else this process.

    Raises:
        RuntimeError: prometheus_client was imported before and has decided otherwise.
    """
    given = os.environ.get(DIRECTORY_VARIABLE)
    if given:
        directory = Path(given)
    else:
        parent = parent_process()
        owner = server_pid or (parent.pid if parent else None) or os.getpid()
        directory = Path(tempfile.gettempdir()) / _name(owner)
        _remove_orphans(directory.parent)
        if owner == os.getpid():
            atexit.register(shutil.rmtree, directory, ignore_errors=True)
    directory.mkdir(parents=True, exist_ok=True)
    client = sys.modules.get("prometheus_client.values")
    if client is not None and not client.ValueClass._multiprocess:
        raise RuntimeError("prometheus_client was imported before the metrics folder was set")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    return directory


def temporary_directory() -> tempfile.TemporaryDirectory[str]:
    """A folder for the folders of several servers. Raises UserError where there is no room for one."""
    try:
        _remove_orphans(Path(tempfile.gettempdir()))
        return tempfile.TemporaryDirectory(prefix=f"{_name(os.getpid())}-")
    except OSError as error:
        raise UserError(f"there is no folder for temporary files: {error.strerror}; set TMPDIR to one") from None


def check_room(workers: int) -> None:
    """Raises UserError where the metrics of so many processes find no room."""
    folder = os.environ.get(DIRECTORY_VARIABLE) or os.environ.get("TMPDIR") or "the folder for temporary files"
    try:
        directory = Path(os.environ.get(DIRECTORY_VARIABLE) or tempfile.gettempdir())
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=PREFIX) as file:
            allocate(file.fileno(), workers * FILES * FILE_BYTES)
    except OSError as error:
        raise UserError(
            f"the metrics cannot be kept in {folder}: {error.strerror}; make room there, or set TWINSCORE_METRICS=false"
        ) from None


def exposition(directory: Path) -> bytes:
    """The metrics of all processes that use `directory`, in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

    for pid in _dead_processes(directory):
        # Counters of the dead stay in the sum; gauges of the living kind do not. Another worker may be removing them too.
        with contextlib.suppress(FileNotFoundError):
            mark_process_dead(pid, str(directory))

    class Sorted:
        """The collector's families come in the order in which the file system lists its files."""

        def collect(self) -> Iterable[Metric]:
            return sorted(MultiProcessCollector(None, str(directory)).collect(), key=lambda family: family.name)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Sorted())
    return generate_latest(registry)


def _dead_processes(directory: Path) -> set[int]:
    pids = {int(path.stem.rpartition("_")[2]) for path in directory.glob("gauge_live*.db")}
    return {pid for pid in pids if not _alive(pid)}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False  # the latter where a number in a name is none of a process
    except PermissionError:
        return True
    return True


def _name(pid: int) -> str:
    """Of the folder of the server that is run by this process."""
    return f"{PREFIX}{_namespace()}-{pid}-{_start_ticks(pid)}"


def _namespace() -> str:
    """In which process ids mean what they mean here: containers may share a folder for temporary files."""
    try:
        return f"ns{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return "ns0"


def _start_ticks(pid: int) -> str:
    """Tells a process from an earlier one of the same id, where the system has /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"


def _remove_orphans(folder: Path) -> None:
    """Removes the folders of servers that are gone."""
    for directory in folder.glob(f"{PREFIX}{_namespace()}-*-*"):
        pid, ticks = directory.name.removeprefix(PREFIX).split("-")[1:3]
        if pid.isdigit() and not (_alive(int(pid)) and _start_ticks(int(pid)) == ticks):
            shutil.rmtree(directory, ignore_errors=True)
