"""Measures the images of docs/images.md: `.venv/bin/python deploy/measure/images.py`, after `make images`.

Beside the two images it builds what they are compared with: a plain image of the FastAPI variant (naive.Dockerfile), and
the Bento by BentoML's own template. Then it starts each in turn, read-only where that works, and prints two tables, which
`--write` puts into the page. `--network host` is for an engine without networks of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import click
import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "images.md"
BEGIN: Final = "<!-- Written by deploy/measure/images.py -->\n"
END: Final = "<!-- End -->\n"
BIN: Final = Path(sys.executable).parent
BASE: Final = "python:3.11-slim"
TIMEOUT_SECONDS: Final = 60.0

# Run inside the container: what its processes have used by now, this one left out.
USED: Final = """
import os, pathlib
ticks = memory = count = 0
for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdigit() and int(entry.name) != os.getpid():
        fields = (entry / "stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
        memory += int(fields[21])
        count += 1
print(ticks / os.sysconf("SC_CLK_TCK"), memory * os.sysconf("SC_PAGE_SIZE") / 1e6, count)
"""


# The same for what lies in the environment of twinscore-fastapi: megabytes by what the page calls it.
WEIGHED: Final = """
import pathlib, sys
def weigh(*names):
    found = (p for n in names for p in [pathlib.Path(n), *pathlib.Path(n).rglob("*")])
    return sum(p.stat().st_size for p in found if p.is_file() and not p.is_symlink()) / 1e6
site = next(pathlib.Path("/opt/venv/lib").glob("python*/site-packages"))
def packages(*names):
    return weigh(*(p for n in names for p in site.glob(n)))
parts = [packages("onnxruntime*"), packages("numpy*"), packages("xgboost*"), packages("scipy*"), packages("grpc*")]
parts += [packages("uvloop*")]
print(*parts, weigh("/opt/venv") - sum(parts), weigh("/app") + weigh("/opt/bin") - weigh("/app/models"), weigh("/app/models"))
"""


@dataclass(frozen=True)
class Image:
    """Its name, what the table calls it, and whether it starts on a root file system that is read-only."""

    name: str
    shown: str
    read_only: bool = True


NAIVE: Final = Image("twinscore-measured-naive", "`FROM python:3.11-slim`, `pip install -r`, `COPY . .`")
OURS_FASTAPI: Final = Image("twinscore-fastapi", "**`twinscore-fastapi`**")
TEMPLATE: Final = Image("twinscore-measured-template", "BentoML's own template, same Bento", read_only=False)
OURS_BENTO: Final = Image("twinscore-bento", "**`twinscore-bento`**")
IMAGES: Final = (NAIVE, OURS_FASTAPI, TEMPLATE, OURS_BENTO)


@dataclass(frozen=True)
class Start:
    """One start: seconds from `docker run` to the first 200 of /readyz, and what the container had used by then."""

    seconds: float
    cpu_seconds: float
    resident_mb: float
    processes: int


def output(*command: str | Path, cwd: Path = ROOT) -> str:
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def build_others(network: str) -> None:
    """The two images that ours are compared with."""
    dockerfile = str(Path(__file__).with_name("naive.Dockerfile"))
    output("docker", "build", "--network", network, "-t", NAIVE.name, "-f", dockerfile, ".")
    options = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    del options["docker"]["dockerfile_template"]
    with tempfile.TemporaryDirectory() as folder:
        bentofile = Path(folder) / "bentofile.yaml"
        bentofile.write_text(yaml.safe_dump(options))
        output(BIN / "twinscore", "models", "store")
        built = output(BIN / "bentoml", "build", "-f", str(bentofile), "--output", "tag", str(ROOT))
        tag = built.rpartition("__tag__:")[2]
        output(BIN / "bentoml", "containerize", tag, f"--opt=network={network}", "-t", TEMPLATE.name, cwd=Path(folder))


def size(name: str) -> int:
    return int(output("docker", "image", "inspect", "--format", "{{.Size}}", name))


def start(image: Image, network: str, port: int) -> Start:
    where = ["--network", "host"] if network == "host" else ["--publish", f"127.0.0.1:{port}:{port}"]
    host = "127.0.0.1" if network == "host" else "0.0.0.0"
    settings = {"TWINSCORE_HOST": host, "TWINSCORE_PORT": str(port), "TWINSCORE_DRAIN_SECONDS": "0"}
    # The image of BentoML's own template runs `bentoml serve`, which has variables of its own for these.
    settings |= {"BENTOML_HOST": host, "BENTOML_PORT": str(port)}
    hardened = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"] if image.read_only else []
    variables = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
    begin = time.perf_counter()
    container = output("docker", "run", "--detach", "--no-healthcheck", *where, *hardened, *variables, image.name)
    try:
        while not ready(port):
            if time.perf_counter() - begin > TIMEOUT_SECONDS:
                raise SystemExit(f"{image.name} is not ready: {output('docker', 'logs', container)}")
            time.sleep(0.01)
        seconds = time.perf_counter() - begin
        cpu, resident, processes = output("docker", "exec", container, "python", "-c", USED).split()
        return Start(seconds, float(cpu), float(resident), int(processes))
    finally:
        output("docker", "rm", "--force", "--volumes", container)


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def starts_table(found: dict[str, list[Start]]) -> str:
    base = size(BASE)
    lines = ["| | beyond its base | start to first 200 of `/readyz` | processor time of that | resident memory |"]
    lines.append("|---|---|---|---|---|")
    for image in IMAGES:
        starts = found[image.name]
        cells = [
            f"{(size(image.name) - base) / 1e6:,.0f} MB",
            f"{median(one.seconds for one in starts):.1f} s ({min(one.seconds for one in starts):.1f})",
            f"{median(one.cpu_seconds for one in starts):.1f} s",
            f"{median(one.resident_mb for one in starts):.0f} MB",
        ]
        if image.shown.startswith("**"):
            cells = [f"**{cell}**" for cell in cells]
        processes = max(one.processes for one in starts)
        cells[-1] += f", {processes} processes" if processes > 1 else ""
        lines.append(" | ".join([f"| {image.shown}", *cells]) + " |")
    return "\n".join(lines) + "\n"


def weights_table() -> str:
    told = output("docker", "run", "--rm", "--network", "none", OURS_FASTAPI.name, "python", "-c", WEIGHED)
    onnx, numpy, xgboost, scipy, grpc, uvloop, others, ours, model = (float(word) for word in told.split())
    rows = [
        ("ONNX Runtime", f"{onnx:.0f}", "its Python extension; the C library beside it is not linked and left out"),
        ("NumPy", f"{numpy:.0f}", "half of it OpenBLAS"),
        (
            "XGBoost, and what it imports of SciPy",
            f"{xgboost:.0f} + {scipy:.0f}",
            "for `TWINSCORE_BACKEND=xgboost` and packages without `model.onnx`; the rest of SciPy is left out",
        ),
        ("gRPC", f"{grpc:.0f}", "for `OTEL_EXPORTER_OTLP_PROTOCOL=grpc`"),
        ("uvloop", f"{uvloop:.0f}", ""),
        ("all other libraries", f"{others:.0f}", ""),
        ("this project, with Swagger UI", f"{ours:.1f}", ""),
        ("the model package", f"{model:.1f}", ""),
    ]
    lines = ["| in `twinscore-fastapi`, MB | | |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--network", type=click.Choice(["default", "host"]), default="default")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--port", type=click.IntRange(1024), default=18_000, show_default=True)
@click.option("--build/--no-build", default=True, help="No: the images of an earlier run are there.")
@click.option("--write", is_flag=True, help="Put the tables into docs/images.md.")
def main(network: str, rounds: int, port: int, build: bool, write: bool) -> None:
    """Measure what the images weigh and how long they take to start."""
    if build:
        build_others(network)
    found: dict[str, list[Start]] = {image.name: [] for image in IMAGES}
    # In turn, so that whatever else the machine does meets all of them. The first start of each reads the disk.
    for number in range(rounds + 1):
        for image in IMAGES:
            one = start(image, network, port)
            if number:
                found[image.name].append(one)
            counted = "" if number else ", not counted"
            click.echo(f"{image.name}: {one}, load average {os.getloadavg()[0]:.1f}{counted}", err=True)
    tables = f"{starts_table(found)}\n{weights_table()}"
    click.echo(tables)
    if write:
        PAGE.write_text(page(PAGE.read_text(), tables))


def page(text: str, tables: str) -> str:
    """The page with other tables."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{tables}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    main()
