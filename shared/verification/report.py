"""The results for a person, and as JUnit XML for a machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.markup import escape

from shared.contract.errors import UserError
from shared.verification.runner import Result


def print_report(console: Console, url: str, results: Sequence[Result]) -> None:
    """What passed, by topic; then each vector that differed, with what was expected and what came."""
    topics: dict[str, Counter[str]] = {}
    for result in results:
        outcome = "passed" if result.passed else "skipped" if result.skipped else "differed"
        topics.setdefault(result.vector.id.partition(".")[0], Counter())[outcome] += 1
    for topic, counts in topics.items():
        mark = "[red]✗[/red]" if counts["differed"] else "[green]✓[/green]" if counts["passed"] else "-"
        console.print(f"{mark} {topic:12} " + _counts(counts))
    for result in results:
        if result.differences:
            _print_difference(console, result)
    skipped = Counter(result.skipped for result in results if result.skipped)
    for reason, number in skipped.items():
        console.print(f"\n{number} skipped: {reason}")
    total = sum(topics.values(), Counter())
    verdict = "differs from the contract" if total["differed"] else "keeps the contract"
    console.print(f"\n[bold]{escape(url)} {verdict}:[/bold] {_counts(total)}")


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in ("passed", "differed", "skipped") if counts[name])


def _print_difference(console: Console, result: Result) -> None:
    request = result.vector.request
    console.print(f"\n[bold red]{escape(result.vector.id)}[/bold red]  {escape(result.vector.about)}")
    console.print(f"  {request['method']} {escape(request['path'])}", style="dim")
    for difference in result.differences:
        console.print(f"  {escape(difference.where)}")
        console.print(f"    [green]- {escape(difference.expected)}[/green]")
        console.print(f"    [red]+ {escape(difference.actual)}[/red]")


def write_junit(path: Path, url: str, results: Sequence[Result]) -> None:
    """One test case a vector.

    Raises:
        UserError: the file cannot be written.
    """
    suite = ElementTree.Element(
        "testsuite",
        name=f"twinscore verify {url}",
        tests=str(len(results)),
        failures=str(sum(bool(result.differences) for result in results)),
        skipped=str(sum(result.skipped is not None for result in results)),
        errors="0",
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        topic, _, name = result.vector.id.partition(".")
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"contract.{topic}", name=name, time=f"{result.seconds:.3f}"
        )
        if result.skipped:
            ElementTree.SubElement(case, "skipped", message=result.skipped)
        if result.differences:
            failure = ElementTree.SubElement(case, "failure", message=result.vector.about)
            failure.text = _xml_text("\n".join(f"{d.where}: - {d.expected} + {d.actual}" for d in result.differences))
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    try:
        ElementTree.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None


def _xml_text(text: str) -> str:
    """Without the control characters that XML 1.0 cannot hold."""
    return "".join(character if character >= " " or character in "\n\t" else "\ufffd" for character in text)
