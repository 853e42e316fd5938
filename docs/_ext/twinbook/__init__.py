"""The Sphinx extension of the book: excerpts and line counts of the source, and figures of the benchmark's results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    # Here: the commands of this package need no Sphinx.
    from twinbook import claims, excerpts, figures, lines, others, packages, sources

    for module in (sources, excerpts, lines, packages, figures, others, claims):
        module.setup(app)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
