"""Files of the project outside docs/ that a page links to: each gets a page of its own in the built book.

So a link such as `../fastapi_service/app.py` works where the Markdown is read in a repository and in the built book alike.
Markdown files are rendered, with the links in them; all others are shown with line numbers; of a folder, what it holds.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docutils import nodes
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from twinbook.selection import ROOT

DOCS = ROOT / "docs"
FOLDER = "source"
COLOURED = 100_000
"""Characters of the largest file that is coloured: a tag around every number makes a page of data ten times as large."""
LEXERS = {
    ".py": "python",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".sh": "bash",
    ".ipynb": "json",
}


def page_of(path: str) -> str:
    """The name of the page of a file, its path relative to the root of the project."""
    return f"{FOLDER}/{path.rstrip('/')}"


def link(env: BuildEnvironment, path: str, line: int | None = None, text: str | None = None) -> nodes.reference:
    """A reference to a file's page, shown as `text` or its path."""
    _linked(env).setdefault(env.docname, set()).add(path)
    target = _relative(env.docname, page_of(path)) + (f"#L-{line}" if line else "")
    return nodes.reference("", text or path, refuri=target, internal=True)


def _linked(env: BuildEnvironment) -> dict[str, set[str]]:
    if not hasattr(env, "twinbook_linked"):
        env.twinbook_linked = {}  # type: ignore[attr-defined]
    found: dict[str, set[str]] = env.twinbook_linked  # type: ignore[attr-defined]
    return found


def _relative(page: str, other: str) -> str:
    return quote(posixpath.relpath(f"{other}.html", posixpath.dirname(page) or "."))


def _in_project(folder: Path, target: str) -> str | None:
    """The path of a file or folder outside docs/, relative to the project; None for everything else."""
    path = (folder / target).resolve()
    if not path.exists() or not path.is_relative_to(ROOT) or path.is_relative_to(DOCS):
        return None
    return path.relative_to(ROOT).as_posix()


def rewrite(app: Sphinx, doctree: nodes.document) -> None:
    """Before Sphinx looks for documents and downloads: turns links out of docs/ into links to our pages."""
    env = app.env
    folder = Path(env.doc2path(env.docname)).parent
    for node in [*doctree.findall(addnodes.pending_xref), *doctree.findall(addnodes.download_reference)]:
        if node.get("reftype") != "myst" or node.get("reftarget") is None:
            continue
        target, _, fragment = str(node["reftarget"]).partition("#")
        if node.get("refdomain") == "doc":
            # MyST names a document by its path without the suffix.
            target = posixpath.relpath(posixpath.join(str(DOCS), target), str(folder)) + ".md"
            fragment = node.get("reftargetid") or ""
        path = _in_project(folder, target) if target else None
        if path is None:
            continue
        reference = link(env, path)
        if fragment:
            reference["refuri"] += f"#{fragment}"
        reference.children = []
        reference += node.children
        node.replace_self(reference)


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    _linked(env).pop(docname, None)


def merge(app: Sphinx, env: BuildEnvironment, docnames: list[str], other: BuildEnvironment) -> None:
    _linked(env).update({name: paths for name, paths in _linked(other).items() if name in docnames})


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The pages of all files linked to, and of those that these link to."""
    waiting = sorted(set().union(*_linked(app.env).values()))
    done: set[str] = set()
    while waiting:
        path = waiting.pop(0)
        if path in done:
            continue
        done.add(path)
        if path.endswith(".md"):
            body, more = _markdown(app, path)
            waiting += more
        elif (ROOT / path).is_dir():
            body, more = _folder(path)
        else:
            body = _code(app, path)
        yield page_of(path), {"title": path, "body": body}, "page.html"


def _code(app: Sphinx, path: str) -> str:
    text = (ROOT / path).read_text()
    lexer = LEXERS.get(Path(path).suffix, "docker" if "Dockerfile" in path else "text")
    if len(text) > COLOURED:
        lexer = "text"
    options = {"linenos": "inline", "lineanchors": "L", "anchorlinenos": True}
    block = app.builder.highlighter.highlight_block(text, lexer, force=True, location=path, **options)  # type: ignore[attr-defined]
    return f"<h1>{escape(path)}</h1>\n<div class='whole-file'>{block}</div>"


def _folder(path: str) -> tuple[str, list[str]]:
    names = sorted(entry.name + "/" * entry.is_dir() for entry in (ROOT / path).iterdir() if entry.name[0] not in "._")
    items = "".join(f"<li><code>{escape(name)}</code></li>" for name in names)
    return f"<h1>{escape(path)}/</h1>\n<ul>{items}</ul>", []


def _markdown(app: Sphinx, path: str) -> tuple[str, list[str]]:
    """The body of the page, and the files that it links to."""
    found: list[str] = []
    page, folder = page_of(path), (ROOT / path).parent

    def target(address: str) -> str:
        if address.startswith(("#", "http://", "https://", "mailto:")):
            return address
        name, _, fragment = address.partition("#")
        fragment = f"#{fragment}" if fragment else ""
        other = (folder / name).resolve()
        if other.is_relative_to(DOCS) and other.suffix == ".md":
            return _relative(page, other.relative_to(DOCS).with_suffix("").as_posix()) + fragment
        inside = _in_project(folder, name)
        if inside is None:
            return address
        found.append(inside)
        return _relative(page, page_of(inside)) + fragment

    def highlight(code: str, language: str, _: Any) -> str:
        shown: str = app.builder.highlighter.highlight_block(code, language or "text", force=True, location=path)  # type: ignore[attr-defined]
        # markdown-it takes what begins with <pre as it is.
        return f"<pre hidden></pre>{shown}"

    reader = MarkdownIt("commonmark", {"highlight": highlight, "html": True}).enable("table")
    reader.use(anchors_plugin, max_level=4)
    tokens = reader.parse((ROOT / path).read_text())
    for token in [child for outer in tokens for child in (outer, *(outer.children or []))]:
        if token.type == "link_open":
            address = str(token.attrs["href"])
            if "://" not in address and not (folder / address).resolve().is_relative_to(ROOT):
                # To a page of the site that hosts the repository: here it leads nowhere.
                del token.attrs["href"]
            else:
                token.attrs["href"] = target(address)
        elif token.type == "image":
            token.attrs["src"] = _copied(app, page, folder, str(token.attrs["src"]))
        elif token.type in ("html_inline", "html_block"):
            token.content = _html_links(token.content, target)
    return str(reader.renderer.render(tokens, reader.options, {})), found


def _copied(app: Sphinx, page: str, folder: Path, address: str) -> str:
    """Copies an image of the project into the book; returns its address from `page`."""
    image = (folder / address).resolve()
    if not image.is_file() or not image.is_relative_to(ROOT):
        return address
    place = f"{FOLDER}/{image.relative_to(ROOT).as_posix()}"
    (Path(app.outdir) / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(image, Path(app.outdir) / place)
    return posixpath.relpath(place, posixpath.dirname(page))


def _html_links(text: str, target: Any) -> str:
    head, *rest = text.split('href="')
    for part in rest:
        address, _, after = part.partition('"')
        head += f'href="{target(address)}"{after}'
    return head


def setup(app: Sphinx) -> None:
    # Before the collectors of Sphinx, which have 500.
    app.connect("doctree-read", rewrite, priority=100)
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
    app.connect("html-collect-pages", pages)
