"""What the documents hold: their headings, their links, their fenced blocks, and the commands in those."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}|:{3,})(?P<info>[^`]*)$")
HEADING = re.compile(r"^(#{1,6}) +(.*?) *#*$")
LINK = re.compile(r"\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)(?: \"[^\"]*\")?\)")
HTML_LINK = re.compile(r"(?:href|src)=\"(?P<target>[^\"]+)\"")
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
SHELL = frozenset({"sh", "bash", "shell", "console"})
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?(?![\w]|\.\d)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: what stands behind the fence, such as `sh`.
        text: between the fences, without their indentation.
        line: of the opening fence, from 1.
        section: the heading of the second level that it stands under.
    """

    language: str
    text: str
    line: int
    section: str

    @property
    def shell(self) -> bool:
        return self.language in SHELL

    @property
    def script(self) -> str:
        """What a shell is given: of a console, the lines behind the prompt."""
        if self.language != "console":
            return self.text
        return "\n".join(line[2:] for line in self.text.splitlines() if line.startswith(("$ ", "> ")))


@dataclass(frozen=True)
class Link:
    text: str
    target: str
    line: int


def _lines(path: Path) -> Iterator[tuple[int, str, str | None]]:
    """Number, line, and the info string of the fence that it stands in; fences themselves are left out.

    A fence of colons holds Markdown (MyST's directives), so its lines stand in none.
    """
    fence, info = "", None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = FENCE.match(line)
        if fence:
            if match and match["fence"].startswith(fence) and not match["info"].strip():
                fence, info = "", None
                continue
        elif match and not match["fence"].startswith(":"):
            fence, info = match["fence"], match["info"].strip()
            continue
        yield number, line, info


def headings(path: Path) -> list[tuple[int, str]]:
    """Level and text of each."""
    found = [HEADING.match(line) for _, line, info in _lines(path) if info is None]
    return [(len(match[1]), match[2]) for match in found if match]


def anchors(path: Path) -> set[str]:
    """What a link's fragment may name: headings, as GitHub and MyST make anchors of them, and MyST's own labels."""
    found: set[str] = set()
    for _, text in headings(path):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number, unique = 0, slug
        while unique in found:
            number += 1
            unique = f"{slug}-{number}"
        found.add(unique)
    text = path.read_text(encoding="utf-8")
    return (
        found | set(re.findall(r"^\(([\w-]+)\)=$", text, re.M)) | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    )


def links(path: Path) -> Iterator[Link]:
    """Those outside of code."""
    for number, line, info in _lines(path):
        if info is not None:
            continue
        # A link's text may be code; what only looks like a link inside of code is none.
        for match in LINK.finditer(line):
            if not any(code.start() < match.start() and match.end() < code.end() for code in CODE.finditer(line)):
                yield Link(match["text"], match["target"], number)
        for match in HTML_LINK.finditer(CODE.sub("", line)):
            yield Link("", match["target"], number)


def blocks(path: Path) -> list[Block]:
    """Fenced blocks, in order."""
    found: list[Block] = []
    section, open_block, opened = "", None, 0
    lines = path.read_text(encoding="utf-8").splitlines()
    inside = {number: info for number, _, info in _lines(path)}
    for number, line in enumerate(lines, 1):
        info = inside.get(number, "")
        heading = HEADING.match(line)
        if number in inside and info is None:
            if heading and len(heading[1]) == 2:
                section = heading[2]
            continue
        match = FENCE.match(line)
        if number not in inside and open_block is None:
            assert match is not None
            language = match["info"].strip().split(" ")[0].strip("{}")
            open_block, opened, indent = (language, []), number, len(match["indent"])
        elif number not in inside:
            language, text = open_block or ("", [])
            found.append(Block(language, "\n".join(text), opened, section))
            open_block = None
        elif open_block is not None:
            open_block[1].append(line[indent:] if not line[:indent].strip() else line)
    return found


def commands(script: str) -> Iterator[str]:
    """The command lines of a shell script: continued ones joined, comments and empty lines left out."""
    joined = re.sub(r"\\\n\s*", "", script)
    for line in joined.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield line.strip()


def shows(expected: str, actual: str) -> bool:
    """Whether `actual` has the lines of `expected`, in order, others between them allowed.

    A number stands for any number, `...` for any text; whitespace counts once.
    """
    rest = iter(" ".join(line.split()) for line in actual.splitlines())
    wanted = [line for line in expected.splitlines() if line.strip() not in ("", "...")]
    return all(any(_pattern(line).fullmatch(seen) for seen in rest) for line in wanted)


def _pattern(line: str) -> re.Pattern[str]:
    parts = []
    for part in " ".join(line.split()).split("..."):
        texts = NUMBER.split(part)
        parts.append(NUMBER.pattern.join(re.escape(text).replace(r"\ ", r"\s*") for text in texts))
    return re.compile(".*".join(parts))
