"""The book builds without a warning, needs nothing from elsewhere, and shows what the source and the figures say."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.conftest import ROOT
from tests.docs.figures import write_results

EXTENSION = ROOT / "docs" / "_ext"
PAGES = sorted(path.stem for path in (ROOT / "docs" / "book").glob("*.md"))
LOADING = {
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("embed", "src"),
    ("object", "data"),
}
LOADING_LINKS = {
    "stylesheet",
    "icon",
    "shortcut icon",
    "preload",
    "prefetch",
    "modulepreload",
    "manifest",
    "preconnect",
}


class Page(HTMLParser):
    """What the tests ask of a page: ids, links, what it loads, its excerpts and its tables of lines."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.excerpts: list[tuple[str, str, str]] = []
        """Side, caption and code."""
        self.counts: list[list[str]] = []
        """The row of sums of each table of lines."""
        self.commands: list[str] = []
        self._open: list[tuple[str, set[str]]] = []
        self._text: list[str] = []
        self._row: list[str] = []
        self._caption = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.loads += [value for name, value in given.items() if (tag, name) in LOADING]
        if tag == "link" and given.get("rel", "") in LOADING_LINKS:
            self.loads.append(given["href"])
        self.loads += re.findall(r"url\(([^)]*)\)", given.get("style", ""))
        if tag in ("p", "pre"):
            self._text = []
        elif tag == "tr":
            self._row = []
        if tag not in ("img", "br", "hr", "input", "meta", "link", "line", "circle", "polyline", "path", "use", "rect"):
            self._open.append((tag, set(given.get("class", "").split())))

    def handle_data(self, data: str) -> None:
        self._text.append(data)
        self._row.append(data)

    def handle_endtag(self, tag: str) -> None:
        inside: set[str] = set()
        if tag in ("p", "pre", "tr"):
            inside = inside.union(*(classes for _, classes in self._open))
        while self._open and self._open.pop()[0] != tag:
            pass
        text = "".join(self._row if tag == "tr" else self._text) if inside else ""
        if tag == "p" and "excerpt-source" in inside:
            self._caption = text
        elif tag == "pre" and "side" in inside:
            side = next(name for name in ("fastapi", "bento", "both") if name in inside)
            self.excerpts.append((side, self._caption, text))
        elif tag == "pre" and "command" in inside:
            self.commands.append(text.strip())
        elif tag == "tr" and "line-counts" in inside and "lines of code we wrote" in text:
            self.counts.append(re.findall(r"[\d,]+", text))


def sphinx(source: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", *options, str(source), str(out)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("book")
    return out, sphinx(ROOT / "docs", out, "-d", str(tmp_path_factory.mktemp("doctrees")))


@pytest.fixture(scope="module")
def book(build: tuple[Path, subprocess.CompletedProcess[str]]) -> Path:
    return build[0]


@cache
def page(path: Path) -> Page:
    return Page(path.read_text())


def html(book: Path) -> Iterator[tuple[Path, Page]]:
    for path in sorted(book.rglob("*.html")):
        yield path, page(path)


@pytest.fixture
def twinbook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXTENSION))


def test_it_builds_without_a_warning(build: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = build
    assert done.stderr == ""
    assert done.returncode == 0


def test_nothing_is_loaded_from_elsewhere(book: Path) -> None:
    loaded = [(path.name, address) for path, page in html(book) for address in page.loads if urlsplit(address).netloc]
    assert loaded == []
    for style in book.rglob("*.css"):
        text = style.read_text()
        found = re.findall(r"@import[^;]*|url\((?!\s*[\"']?data:)[^)]*\)", text)
        assert not [address for address in found if "//" in address], style.name
    for image in book.rglob("*.svg"):
        assert not re.search(r"(?:href|src)=[\"']https?:|<script|@import", image.read_text()), image.name
    for script in book.rglob("*.js"):
        assert not re.search(r"(?:fetch|import|importScripts|open)\(\s*[\"'](?:https?:)?//", script.read_text()), (
            script.name
        )


def test_every_link_within_it_resolves(book: Path) -> None:
    broken = []
    for path, page_ in html(book):
        for address in page_.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file() or (
                parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in page(target).ids
            ):
                broken.append(f"{path.relative_to(book)}: {address}")
    assert broken == []


def test_links_to_elsewhere_are_listed(book: Path, record_property: pytest.RecordProperty) -> None:
    """They are not followed: a test needs no network."""
    found = {address for _, page in html(book) for address in page.links if urlsplit(address).netloc}
    for address in sorted(found):
        record_property("link", address)
        print(address)  # noqa: T201
    # Those to services that run on the reader's own machine are spelled as such.
    odd = {address for address in found if not address.startswith("https://")}
    assert {urlsplit(address).hostname for address in odd} <= {"localhost", "127.0.0.1", "registry.example.com"}


def test_there_are_nine_pages() -> None:
    names = [
        "batching",
        "choosing",
        "contract",
        "event-loop",
        "limits",
        "packaging",
        "scaling",
        "telemetry",
        "together",
    ]
    assert names == PAGES


@pytest.mark.parametrize("name", [name for name in PAGES if name != "choosing"])
def test_a_page_has_both_sides_costs_and_measurements(book: Path, name: str) -> None:
    path = book / "book" / f"{name}.html"
    assert {"fastapi", "bento"} <= {side for side, _, _ in page(path).excerpts}
    assert page(path).counts
    text = path.read_text()
    assert 'class="plot"' in text or 'class="not-measured' in text
    for heading in ("what-the-frameworks-give", "what-we-wrote", "what-was-measured", "when-this-decides"):
        assert heading in page(path).ids


def test_excerpts_are_what_the_source_says(book: Path) -> None:
    for _, page_ in html(book):
        for _, caption, code in page_.excerpts:
            match = re.fullmatch(r"(\S+?)(?:, lines (\d+) to (\d+))?", caption)
            assert match, caption
            lines = (ROOT / match[1]).read_text().splitlines()
            part = lines[int(match[2]) - 1 : int(match[3])] if match[2] else lines
            assert [line.strip() for line in code.strip().splitlines()] == [line.strip() for line in part], caption


def test_tables_of_lines_match_the_command_beside_them(book: Path) -> None:
    checked = 0
    for _, page_ in html(book):
        commands = [command for command in page_.commands if " lines " in command]
        assert len(commands) == len(page_.counts)
        for command, shown in zip(commands, page_.counts, strict=True):
            words = shlex.split(command)
            done = subprocess.run([sys.executable, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
            parts = [line.split(None, 1) for line in done.stdout.splitlines()]
            total = int((parts[-1] if len(parts) > 1 else parts[0])[0].replace(",", ""))
            assert sum(int(number.replace(",", "")) for number in shown) == total, command
            checked += 1
    assert checked == 9


def test_lines_are_lines_of_code(twinbook: None, tmp_path: Path) -> None:
    from twinbook.count import count

    (tmp_path / "module.py").write_text(
        '"""A docstring\n\nof three lines."""\n\n# A comment\nimport os  # and code\n\n\n'
        'LIMIT = 3\n"""What it is."""\n\n\ndef f(x):\n    """Says."""\n    return """two\nlines""" + x\n'
    )
    assert count("module.py", tmp_path) == 5
    assert count("module.py:f", tmp_path) == 3
    (tmp_path / "file.yaml").write_text("# a comment\na: 1\n\n  # another\nb: 2  # and this\n")
    assert count("file.yaml", tmp_path) == 2


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("fastapi_service/app.py#Cooling", "has 0 comments '# Cooling'"),
        ("fastapi_service/app.py:create_model", "has no create_model"),
        ("fastapi_service/app.py@app.blend(", "has no line with 'app.blend('"),
        ("fastapi_service/main.py", "No such file"),
    ],
)
def test_a_part_that_is_gone_fails_the_build(tmp_path: Path, part: str, message: str) -> None:
    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path[:0] = [{str(EXTENSION)!r}, {str(ROOT)!r}]\nextensions = ['myst_parser', 'twinbook']\n"
    )
    sides = f"fastapi: {part}\nbento: bento_service/service.py#Warm-up"
    (tmp_path / "index.md").write_text(f"# Title\n\n```{{sides}}\n{sides}\n```\n")
    done = sphinx(tmp_path, tmp_path / "out")
    assert done.returncode != 0
    assert message in done.stderr


def test_every_plot_draws_a_whole_run_and_says_what_is_missing(twinbook: None, tmp_path: Path) -> None:
    from twinbook.plots import PLOTS
    from twinbook.results import Figures

    write_results(tmp_path / "results.json")
    whole, none = Figures(tmp_path / "results.json"), Figures(tmp_path / "nothing.json")
    for name, plot in PLOTS.items():
        drawn = plot.draw(whole)
        assert drawn is not None, name
        assert "<figure" in drawn
        assert not re.search(r"(?:src|href)=|url\(|<script", drawn)
        assert plot.draw(none) is None


def test_figures_are_those_of_the_run(twinbook: None, tmp_path: Path) -> None:
    from twinbook.figures import figure_text
    from twinbook.results import Figures

    results = write_results(tmp_path / "results.json")
    found = Figures(tmp_path / "results.json")
    rates = sorted(
        phase.outcome.good / phase.outcome.seconds
        for m in results.measurements
        if (m.suite, m.contender, m.model) == ("contenders", "bento", "deep")
        for phase in m.phases
        if (phase.kind, phase.load) == ("closed", 64)
    )
    assert figure_text(found, "bento/ours closed 64 rate") == f"{rates[1]:,.0f}"
    assert figure_text(found, "mosec/none closed 64 rate") is None
    with pytest.raises(ValueError, match="is not"):
        figure_text(found, "bento/ours closed rate")


def test_every_figure_that_a_page_asks_for_is_measured_by_a_whole_run(twinbook: None, tmp_path: Path) -> None:
    from twinbook.figures import figure_text
    from twinbook.results import Figures

    write_results(tmp_path / "results.json")
    found = Figures(tmp_path / "results.json")
    asked = []
    for path in (ROOT / "docs").rglob("*.md"):
        for role, text in re.findall(r"\{(measured|ratio)\}`([^`]+)`", path.read_text()):
            asked += [name.strip(" \\") for name in " ".join(text.split()).split("|")] if role == "ratio" else [text]
    assert len(asked) > 20
    assert [name for name in asked if figure_text(found, name) is None] == []


def test_the_layers_are_read_from_what_the_command_prints(twinbook: None) -> None:
    from twinbook.others import layers

    table = (
        "| microseconds of processor time a request | Twinscore FastAPI, 1 conn. | Twinscore FastAPI, 64 conn. "
        "| Twinscore BentoML, 1 conn. | Twinscore BentoML, 64 conn. |\n|---|--:|--:|--:|--:|\n"
        "| prediction | 90 | 31 | 95 | 33 |\n| BentoML | 0 | 0 | 210 | 1,180 |\n| all | 500 | 400 | 900 | 1,800 |\n"
    )
    assert layers(f"# Title\n\n{table}") == [
        ("prediction", {"FastAPI": 31.0, "BentoML": 33.0}),
        ("BentoML", {"FastAPI": 0.0, "BentoML": 1180.0}),
    ]


def test_packages_and_megabytes_are_those_of_the_locks(twinbook: None) -> None:
    from twinbook.profiles import COMMAND, FILE, locked

    kept = json.loads((ROOT / FILE).read_text())["profiles"]
    for profile, packages in kept.items():
        versions = {name: package["version"] for name, package in packages.items()}
        assert versions == locked(profile), f"the locks have changed: run `{COMMAND}`"


def test_every_claim_has_a_figure_or_is_a_judgement(book: Path) -> None:
    """Six figures in circulation, and twelve things that are said of the two."""
    text = (book / "book" / "choosing.html").read_text()
    figures = text.split('id="figures-in-circulation"')[1].split("<section")[0]
    said = text.split('id="what-is-said-of-them"')[1].split("<section")[0]
    rows = [part.split("</tr>")[0] for part in figures.split("<tbody>")[1].split("<tr")[1:]]
    assert len(rows) == 6
    assert all("twinscore bench" in re.sub(r"<[^>]+>", "", row) for row in rows)
    rows = [part.split("</tr>")[0] for part in said.split("<tbody>")[1].split("<tr")[1:]]
    assert len(rows) == 12
    assert all(re.search(r"Command: |judgement|not measured", row) for row in rows)
