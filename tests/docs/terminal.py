"""A reader who types what a page says: one folder, several terminals, and ports of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import httpx

from shared.reliability.ports import free_port
from tests.conftest import ROOT
from tests.docs.markdown import Block, commands, shows

SERVERS = ("twinscore serve", "bentoml serve", "uvicorn", "haproxy", "docker run")
"""A block that starts with one of these is typed into a terminal of its own and goes on until it is stopped."""

START_SECONDS = 90.0
STOP_SECONDS = 30.0
COMMAND_SECONDS = 1500.0
"""Building the images is the longest."""


def starts_server(block: Block) -> bool:
    """Whether the block's command goes on until it is stopped."""
    first = re.sub(r"^(?:[A-Z_]+=\S+ +)+", "", next(commands(block.script)))
    return first.startswith(SERVERS)


class Terminal:
    """Runs blocks of shell commands; use it as a context manager, which stops what was left running.

    Args:
        folder: where the commands are typed.
        scratch: for logs and BentoML's home.
        replaced: texts of the page and what is typed in their place.
        ports: that the page names; a free one is typed for each.
    """

    def __init__(self, folder: Path, scratch: Path, *, ports: Iterable[int], replaced: Mapping[str, str] = {}) -> None:
        self.folder = folder
        self.scratch = scratch
        self._replaced = dict(replaced)
        self.ports = {port: free_port() for port in ports}
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("TWINSCORE_", "OTEL_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), clean.get("PATH", "")])
        self.environment = clean | {"PATH": path, "BENTOML_HOME": str(scratch / "bentoml"), "COLUMNS": "160"}
        self._servers: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()

    def typed(self, text: str) -> str:
        """The text with our own ports and replacements."""
        for old, new in self._replaced.items():
            text = text.replace(old, new)
        # In one go, since a free port may be one that the page names.
        return re.sub(r"(?<![\w.])\d{4}(?!\w)", lambda match: str(self.ports.get(int(match[0]), match[0])), text)

    def run(self, block: Block) -> str:
        """Types a block, waits for its end, and returns what it printed. A command that fails fails the test."""
        self.wait()
        command = ["bash", "-euo", "pipefail", "-c", self.typed(block.script)]
        # A file, not a pipe: what the commands leave running would keep a pipe open.
        output = self.scratch / f"line-{block.line}.txt"
        with output.open("wb") as file:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        text = output.read_text()
        assert done.returncode == 0, (
            f"line {block.line}:\n{self.typed(block.script)}\nexit code {done.returncode}:\n{text}"
        )
        return text

    def serve(self, block: Block) -> Path:
        """Types a block that goes on, unless it goes on already; returns the file it prints into."""
        script = self.typed(block.script)
        if script not in self._servers:
            log = self.scratch / f"line-{block.line}.log"
            with log.open("wb") as file:
                process = subprocess.Popen(
                    ["bash", "-c", script],
                    cwd=self.folder,
                    env=self.environment,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    # As at a terminal, also where this runs in the background, whose commands ignore Ctrl-C.
                    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                )
            self._servers[script] = (process, log)
        return self._servers[script][1]

    def wait(self) -> None:
        """Until `/livez` answers on the port of everything that goes on."""
        ours = set(self.ports.values())
        for script, (process, log) in self._servers.items():
            port = next(int(number) for number in re.findall(r"\d+", script) if int(number) in ours)
            until = time.monotonic() + START_SECONDS
            while not _answers(port):
                assert time.monotonic() < until, f"{script}\ndoes not answer:\n{log.read_text()}"
                assert process.poll() is None, f"{script}\nhas ended:\n{log.read_text()}"
                time.sleep(0.1)

    def stop_all(self, number: int = signal.SIGINT) -> None:
        """Ctrl-C in every terminal."""
        for process, _ in self._servers.values():
            if process.poll() is None:
                os.killpg(process.pid, number)
        for process, _ in self._servers.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        self._servers.clear()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def follow(terminal: Terminal, page: list[Block]) -> dict[int, str]:
    """Types the blocks of a page in order and checks that what it shows comes out.

    A `text` block is what the shell block before it prints: a server's is looked for in its log.

    Returns:
        What each block that ended has printed, by its line.
    """
    printed: dict[int, str] = {}
    last: Path | str = ""
    for block in page:
        if block.shell and starts_server(block):
            last = terminal.serve(block)
        elif block.shell:
            last = printed[block.line] = terminal.run(block)
        elif block.language in ("text", "json"):
            expected = terminal.typed(block.text)
            until = time.monotonic() + (START_SECONDS if isinstance(last, Path) else 0)
            while not shows(expected, text := last.read_text() if isinstance(last, Path) else last):
                assert time.monotonic() < until, f"line {block.line} shows\n{expected}\nbut this came out:\n{text}"
                time.sleep(0.1)
    return printed


def page(name: str, section: str | None = None) -> list[Block]:
    """The blocks of a document under docs/, or of one section of it."""
    from tests.docs.markdown import blocks

    found = [block for block in blocks(ROOT / "docs" / name) if section is None or block.section == section]
    assert found, f"docs/{name} has no section {section}"
    return found
