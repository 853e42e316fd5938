"""`claims`: figures in circulation about the two frameworks, each beside ours and the command that gives it."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx

from benchmarks.report.claims import BENCH, claims
from benchmarks.report.summary import Summary
from benchmarks.results import Results
from twinbook.excerpts import BookDirective
from twinbook.figures import MISSING, figure_text, results_of
from twinbook.results import Figures

STEPS = (
    "Kind, steps of 10, 20, 40 and 80 users: BentoML 21.4, 24.8, 24.8 and 22.0 req/s, FastAPI 17.3, 17.9, 17.5 and 16.5 "
    "(MobileNetV2, 2 replicas)"
)
CONNECTIONS = (1, 16, 64, 128)


class Claims(BookDirective):
    """Takes no content."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        found = results_of(self.env)
        listed = claims(found.summary or Summary(Results({}, [])))
        if not any("80 users" in claim for claim, _, _ in listed):
            listed.append((STEPS, _steps(found), BENCH))
        rows: list[list[nodes.Node | str]] = [
            [claim, here if found.summary else MISSING, nodes.literal("", command)] for claim, here, command in listed
        ]
        return [self.table(["claim", "here", "command"], rows, "claims")]


def _steps(found: Figures) -> str:
    parts = []
    for name, label in (("textbook-bento", "textbook BentoML"), ("textbook-fastapi", "textbook FastAPI")):
        rates = [figure_text(found, f"{name}/proba closed {count} rate") or "-" for count in CONNECTIONS]
        parts.append(f"{label} {', '.join(rates)}")
    listed = ", ".join(map(str, CONNECTIONS))
    return f"good answers/s at {listed} connections that never pause, this model, one core: {'; '.join(parts)}"


def setup(app: Sphinx) -> None:
    app.add_directive("claims", Claims)
