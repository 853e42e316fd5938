"""Where the processor time of a request goes, layer by layer: `python -m benchmarks.budget`.

Each variant runs alone on one core under wrk; py-spy samples the worker, and each sample counts for the layer of its
innermost frame. What native code does is counted where Python called it: reading JSON in `shared/contract/wire.py`, a
prediction in the predictor.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import click
import psutil

from benchmarks import models
from benchmarks.contenders.catalog import BY_NAME, interpreter
from benchmarks.load.wrk import closed_loop
from benchmarks.report.sections import MODELS
from benchmarks.results import describe_run
from benchmarks.run import bodies_of, cores
from benchmarks.server import Running, running

SERVER_MODULES = "accepting|backpressure|protocol|server|writing"
"""Of ours: they change uvicorn."""

LAYERS = (
    ("HTTP server: sockets, parsing, writing", rf"uvicorn/|<event loop>|shared/serving/({SERVER_MODULES})"),
    (
        "the edge: ids, limits, admission, deadlines, problems",
        rf"shared/serving/(?!inference|health|{SERVER_MODULES})",
    ),
    ("validation and JSON", r"shared/contract/|pydantic"),
    ("prediction", r"shared/model/|onnxruntime/"),
    (
        "around prediction: slices, checks, batches",
        r"shared/serving/(inference|health)|fastapi_service/batcher|bento_service/dispatcher",
    ),
    ("metrics, logs, traces", r"shared/telemetry/|prometheus_client/|opentelemetry/"),
    ("FastAPI and Starlette", r"fastapi/|starlette/"),
    ("BentoML", r"bentoml/|_bentoml|simple_di/|attr/"),
    ("the service's own code", r"fastapi_service/|bento_service/"),
    ("asyncio, contexts, threads", r"asyncio/|anyio/|contextlib|contextvars|threading|concurrent/|selectors"),
)
WAITING = r"LineWriter\._run|_worker \(.*futures/thread\.py|threading\.py|selectors\.py"
"""Frames of threads that wait, which py-spy cannot tell from ones that work."""

HEAD = """\
# Where the processor time of a request goes

Each variant alone on one core, the load on another; {model}. `python -m benchmarks.budget` takes {rate} samples a second
of the worker and counts each for the layer of its innermost Python frame. Measured on {date}, {cpu}, commit {commit}.
"""

CONNECTIONS = (1, 64)
RATE = 500


def layer_of(frame: str) -> str:
    """The layer of a frame as py-spy writes it: `function (path/to/file.py:12)`."""
    return next((name for name, pattern in LAYERS if re.search(pattern, frame)), "everything else")


def sampled(server: Running, bodies: Path, connections: int, seconds: int, core: str) -> tuple[float, Counter[str]]:
    """Microseconds of processor time a request, and samples by layer."""
    worker = max(psutil.Process(server.pid).children(recursive=True), key=lambda process: process.cpu_times().user)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "stacks"
        spy = [
            str(interpreter("bench").parent / "py-spy"),
            "record",
            "-p",
            str(worker.pid),
            "-d",
            str(seconds),
            "-r",
            str(RATE),
        ]
        profiler = subprocess.Popen(
            ["taskset", "-c", core, *spy, "-f", "raw", "--full-filenames", "-o", str(out)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        closed_loop(server.url, bodies, connections=connections, seconds=seconds + 1, core=core)
        profiler.wait(30)
        samples: Counter[str] = Counter()
        for line in out.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            frames = stack.split(";")
            if re.search(WAITING, frames[-1]):
                continue
            name = (
                "HTTP server: sockets, parsing, writing"
                if frames[-1].startswith("Runner.run (")
                else layer_of(frames[-1])
            )
            samples[name] += int(count)
    # Measured apart, without the profiler in the way.
    before = server.usage().cpu_seconds
    outcome = closed_loop(server.url, bodies, connections=connections, seconds=4, core=core)
    return (server.usage().cpu_seconds - before) / max(1, outcome.good) * 1e6, samples


@click.command()
@click.option("--seconds", type=click.IntRange(2), default=10, show_default=True, help="Of each profile.")
@click.option("--model", default="deep", show_default=True, help="packaged, deep or huge.")
def main(seconds: int, model: str) -> None:
    """Prints docs/benchmark/budget.md."""
    server_core, load_core = map(str, cores())
    folder = models.package(model, lambda line: click.echo(line, err=True))
    rows = models.sample(folder)
    columns: dict[str, tuple[float, Counter[str]]] = {}
    for name in ("fastapi", "bento"):
        contender = BY_NAME[name]
        bodies = bodies_of(contender, model, rows)
        with running(contender, folder, "ours", server_core, rows[0]) as server:
            closed_loop(server.url, bodies, connections=4, seconds=3, core=load_core)
            for connections in CONNECTIONS:
                click.echo(f"{contender.label}, {connections} connections", err=True)
                columns[f"{contender.label}, {connections} conn."] = sampled(
                    server, bodies, connections, seconds, load_core
                )
    meta = describe_run()
    click.echo(
        HEAD.format(model=MODELS[model], date=meta["date"][:10], commit=meta["commit"], cpu=meta["cpu"], rate=RATE)
    )
    click.echo("| microseconds of processor time a request | " + " | ".join(columns) + " |")
    click.echo("|---" + "|--:" * len(columns) + "|")
    for name in (*(layer for layer, _ in LAYERS), "everything else"):
        cells = [f"{total * samples[name] / max(1, samples.total()):.0f}" for total, samples in columns.values()]
        click.echo(f"| {name} | " + " | ".join(cells) + " |")
    click.echo("| all | " + " | ".join(f"{total:.0f}" for total, _ in columns.values()) + " |")


if __name__ == "__main__":
    main()
