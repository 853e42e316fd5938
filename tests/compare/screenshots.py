"""Takes the screenshots of docs/compare.md: `python -m tests.compare.screenshots docs/images [RESULTS.json]`.

Both services are started for it; RESULTS.json, of a `twinscore bench`, adds the picture of a benchmark.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from shared.model.locate import latest_package
from shared.reliability.ports import free_port
from tests.compare.conftest import ARGUMENTS, CHROMIUM, Visit, comparing
from tests.conftest import ROOT, VARIANTS, running

SETTLE_SECONDS = 1.5


def main(images: Path, results: Path | None) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        otlp_port = free_port()
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        model = ("--model", str(latest_package(ROOT / "models")))
        urls = {v: stack.enter_context(running(v, folder, *model, environment=environment)).url for v in VARIANTS}
        bench = ("--bench", str(results or folder / "none.json"))
        both = stack.enter_context(comparing(folder, urls, *bench, otlp_port=otlp_port))
        one = stack.enter_context(comparing(folder, urls | {"bento": f"http://127.0.0.1:{free_port()}"}, *bench))
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=str(CHROMIUM), args=list(ARGUMENTS)
        )
        for name, scheme in (("light", "light"), ("dark", "dark")):
            visit = _open(browser, both.url, color_scheme=scheme)
            visit.send("50 in turn")
            visit.page.wait_for_timeout(SETTLE_SECONDS * 1000)
            visit.send("High amount")
            _shoot(visit.page, images / f"compare-{name}.png")
        visit = _open(browser, both.url, height=1130)
        visit.send("50 at once")
        _shoot(visit.page, images / "compare-burst.png")
        visit.send("Wrong length")
        _shoot(visit.page, images / "compare-refused.png")
        _shoot(_open(browser, both.url, width=360, height=1100).page, images / "compare-narrow.png")
        visit = _open(browser, one.url, verdict="Only FastAPI answered", height=560)
        _shoot(visit.page, images / "compare-one-down.png")
        if results is not None:
            bench_section = _open(browser, both.url).page.locator("#bench")
            bench_section.screenshot(path=images / "compare-bench.png")


def _open(
    browser: Browser, url: str, verdict: str = "identical", width: int = 1280, height: int = 940, **options: Any
) -> Visit:
    visit = Visit(browser.new_context(viewport={"width": width, "height": height}, **options).new_page())
    visit.page.goto(url)
    visit.wait_for_text("#verdict", verdict)
    return visit


def _shoot(page: Any, path: Path) -> None:
    page.wait_for_timeout(SETTLE_SECONDS * 1000)
    page.screenshot(path=path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
