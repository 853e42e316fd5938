"""Starting a contender on its core, and stopping every process of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import CACHE, ROOT
from benchmarks.contenders.catalog import SINK, Contender, Row, environment_of, interpreter
from benchmarks.process import Usage, family, usage
from benchmarks.sink import trace_sink

START_SECONDS = 90.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.01
FOREIGN = ("TWINSCORE_", "OTEL_", "PYTHONDONTWRITEBYTECODE")
"""Variables that contenders do not inherit. Without bytecode of their own modules they would start more slowly than elsewhere."""

TOLERANCE = 2e-6
"""Largest difference from the packaged probability that an answer may show."""


class StartError(Exception):
    """A contender that gave no right answer; the message says why."""


@dataclass(frozen=True)
class Running:
    """A contender that has answered.

    Attributes:
        cold_start_seconds: from the start of its process to the first answer with status 200.
    """

    contender: Contender
    port: int
    pid: int
    cold_start_seconds: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.contender.path}"

    def usage(self) -> Usage:
        return usage(self.pid)

    def batches(self) -> tuple[float, float] | None:
        """Rows and predictions so far, where the contender tells."""
        if not self.contender.metrics:
            return None
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if line.startswith("twinscore_inference_batch_rows_"))
        return (
            float(values["twinscore_inference_batch_rows_sum"]),
            float(values["twinscore_inference_batch_rows_count"]),
        )


@contextmanager
def running(
    contender: Contender, model: Path, predictor: str, core: str, expected: tuple[Row, float]
) -> Iterator[Running]:
    """The contender, pinned to `core` (or cores, as taskset lists them), once it gives `expected` its probability.

    Raises:
        StartError: it ended, or gave no answer in time, or a wrong one.
    """
    port = free_ports()
    logs = CACHE / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{contender.name}-{predictor}.log"
    filled = [part.format(port=port, model=model) for part in contender.arguments]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    stack = contextlib.ExitStack()
    sink = stack.enter_context(trace_sink()) if SINK in contender.environment.values() else ""
    environment = clean | environment_of(contender, port, model, predictor, sink)
    command = ["taskset", "-c", core, str(interpreter(contender.venv)), *filled]
    with stack, log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            answer = _first_answer(process, contender, port, expected[0], log)
            seconds = time.perf_counter() - began
            _check(contender, predictor, answer, expected[1])
            yield Running(contender, port, process.pid, seconds)
        finally:
            stop(process)


def free_ports(count: int = 3) -> int:
    """The first of `count` free ports in a row."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                for number in range(port + 1, port + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except (OSError, OverflowError):
                continue
            return port


def stop(process: subprocess.Popen[bytes]) -> None:
    """Asks the process to end, then ends whatever is left of its family."""
    members = family(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    while time.monotonic() < until and any(_alive(member) for member in members):
        process.poll()
        time.sleep(0.05)
    for member in members:
        if _alive(member):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
    process.wait()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _first_answer(process: subprocess.Popen[bytes], contender: Contender, port: int, row: Row, log: Path) -> bytes:
    body = contender.body_bytes(row)
    until = time.monotonic() + START_SECONDS
    last = "no connection"
    while time.monotonic() < until:
        if process.poll() is not None:
            raise StartError(f"ended with code {process.returncode}; its output is in {log.relative_to(ROOT)}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("POST", contender.path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            if response.status == 200:
                return answer
            if response.status in (400, 422):
                raise StartError(f"refused the row with {response.status}: {answer[:200]!r}")
            last = f"status {response.status}"
        except (OSError, http.client.HTTPException) as error:
            last = str(error)
        finally:
            connection.close()
        time.sleep(POLL_SECONDS)
    raise StartError(f"no answer in {START_SECONDS:.0f} s ({last}); its output is in {log.relative_to(ROOT)}")


def _check(contender: Contender, predictor: str, answer: bytes, expected: float) -> None:
    if predictor == "none":
        return
    probability = contender.read(json.loads(answer))
    if not abs(probability - expected) <= TOLERANCE:
        raise StartError(f"answered {probability} where the model says {expected}")
