"""The exercises: every command of the page is typed, and what the page says is seen must be seen.

Figures are compared with each other, never with the page's: machines differ.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.markdown import Block
from tests.docs.terminal import Terminal, follow, page, starts_server

PORTS = (8001, 8002, 8003, 8009, 9009, 3001, 3002, 3003)
CLIENTS = 16
COUNT = r'requests_total\{method="POST",route="/score",status="200"\} ([\d.]+)'


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory, default_model: Path) -> Iterator[Terminal]:
    """One for all exercises: a service that two of them start the same way is left running."""
    folder = tmp_path_factory.mktemp("exercises")
    with Terminal(ROOT, folder, ports=PORTS, replaced={"build/": f"{folder}/"}) as opened:
        # As after the `make serve` that the page asks for.
        opened.run(Block("sh", "twinscore models store", 0, ""))
        yield opened


def outputs(terminal: Terminal, section: str) -> list[str]:
    """What the commands of a section printed, those that serve left out."""
    return list(follow(terminal, page("exercises.md", section)).values())


def medians(output: str) -> list[float]:
    """Milliseconds, in the order printed."""
    return [float(number) for number in re.findall(r"median +([\d.]+) ms", output)]


def number(pattern: str, output: str) -> float:
    match = re.search(pattern, output)
    assert match is not None, f"{pattern} is not in\n{output}"
    return float(match[1])


def test_the_page_has_an_exercise_for_each_test() -> None:
    sections = {block.section for block in page("exercises.md")} - {""}
    assert sections == {
        "Switch BentoML's own dispatcher back on",
        "Block the event loop",
        "Send NaN",
        "Kill a worker",
        "Swap the variants under load",
    }


def test_what_is_typed_first(terminal: Terminal) -> None:
    (output,) = outputs(terminal, "")
    assert output == ""


def test_bentomls_own_dispatcher_remembers_a_burst(terminal: Terminal) -> None:
    blocks = page("exercises.md", "Switch BentoML's own dispatcher back on")
    native, eager = follow(terminal, blocks).values()
    scripts = [block for block in blocks if block.shell and not starts_server(block)]
    for _ in range(3):
        # Not a limit of time: the same client, before and after, with one dispatcher and the other.
        if medians(native)[1] > 3 * medians(eager)[1]:
            break
        native, eager = (terminal.run(block) for block in scripts)
    assert medians(native)[1] > 3 * medians(eager)[1], (native, eager)
    again = terminal.run(Block("sh", f"{scripts[0].text} --seconds 0", scripts[0].line, ""))
    assert medians(again)[0] > 3 * medians(eager)[0], (again, eager)
    assert "answered 200" in native
    assert "answered 200" in eager


def test_probes_stall_where_the_event_loop_is_blocked(terminal: Terminal) -> None:
    blocking, in_thread, ours = outputs(terminal, "Block the event loop")
    stalled = medians(blocking)[0]
    assert stalled > 5 * medians(in_thread)[0], (blocking, in_thread)
    assert stalled > 5 * medians(ours)[0], (blocking, ours)
    assert number(r"(\d+) probes", blocking) * 2 < number(r"(\d+) probes", ours)


def test_nan_is_refused_and_null_is_counted(terminal: Terminal) -> None:
    textbook, ours, missing = outputs(terminal, "Send NaN")
    assert [line.rpartition(" ")[2] for line in textbook.splitlines()] == ["200", "500"]
    assert "NaN" not in ours
    answers = missing.splitlines()
    assert answers[0] == answers[1]
    assert number(r"missing_total.* ([\d.]+)", missing) == 1


def test_a_killed_worker_is_replaced(terminal: Terminal) -> None:
    for output in outputs(terminal, "Kill a worker"):
        before = set(output.splitlines()[:2])
        answered = number(r"in all: (\d+) answered 200", output)
        # Those that the dead worker had answered and not yet written are missing, and no more.
        assert 0.9 * answered < number(COUNT, output) <= answered
        assert 1 <= number(r"in all: .*?(\d+) broken", output) <= CLIENTS
        after = set(output.partition("in all")[2].splitlines()[1:3])
        assert len(after & before) == 1


@pytest.mark.skipif(
    shutil.which("haproxy") is None, reason="haproxy is not installed (Debian: apt-get install haproxy)"
)
def test_traffic_moves_between_the_variants_without_a_loss(terminal: Terminal) -> None:
    asked = [Block("sh", f"curl -s 127.0.0.1:{port}/metrics", 0, "") for port in (8001, 3001)]
    blocks = page("exercises.md", "Swap the variants under load")
    for block in blocks:
        if block.shell and starts_server(block):
            terminal.serve(block)
    before = [number(COUNT, terminal.run(block)) for block in asked]
    (output,) = follow(terminal, blocks).values()
    assert re.search(r"^in all: \d+ answered 200$", output, re.M), output
    counted = [float(value) for value in re.findall(COUNT, output)]
    shares = [after - first for after, first in zip(counted, before, strict=True)]
    assert min(shares) > 0
    assert sum(shares) == number(r"in all: (\d+) answered", output)
