"""Both services, tracing to a running `twinscore compare`, and a browser that looks at it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.reliability.ports import free_port
from tests.conftest import ROOT, STOP_SECONDS, VARIANTS, Server, running

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
WAIT_SECONDS = 20.0


@dataclass
class Compare:
    """A running `twinscore compare`."""

    url: str
    otlp: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def send(self, body: str, **options: Any) -> list[dict[str, Any]]:
        """What the page's own request would bring."""
        message = {"body": body, "content_type": "application/json", "count": 1, "at_once": False, **options}
        response = httpx.post(f"{self.url}/api/send", json=message, timeout=30)
        assert response.status_code == 200, response.text
        exchanges: list[dict[str, Any]] = response.json()["exchanges"]
        return exchanges


def clean_environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TWINSCORE_", "OTEL_"))}
    return kept | more


@contextmanager
def comparing(
    folder: Path, urls: Mapping[str, str], *options: str, otlp_port: int | None = None, **environment: str
) -> Iterator[Compare]:
    """`twinscore compare` of the two URLs, answering; stopped at the end, whatever happens."""
    port = free_port()
    otlp_port = free_port() if otlp_port is None else otlp_port
    log = folder / f"compare-{port}.log"
    command = [sys.executable, "-m", "shared.cli", "compare", "--port", str(port), "--otlp-port", str(otlp_port)]
    for variant in VARIANTS:
        command += [f"--{variant}", urls[variant]]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *options],
            cwd=ROOT,
            env=clean_environment(**environment),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    found = Compare(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{otlp_port}", process, log)
    try:
        until(lambda: _answers(found), lambda: f"twinscore compare did not start:\n{log.read_text()}")
        yield found
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _answers(compare: Compare) -> bool:
    assert compare.process.poll() is None, compare.log.read_text()
    try:
        return httpx.get(compare.url, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def until(condition: Callable[[], bool], message: Callable[[], str], seconds: float = 60.0) -> None:
    """Waits until the condition holds; fails with the message where it does not."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, message()
        time.sleep(0.1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare")


@pytest.fixture(scope="session")
def otlp_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def services(folder: Path, default_model: Path, otlp_port: int) -> Iterator[dict[str, Server]]:
    """Both, started at the same time, sending their traces to `otlp_port`."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp_port}", "OTEL_BSP_SCHEDULE_DELAY": "200"}
    with ExitStack() as stack, ThreadPoolExecutor(len(VARIANTS)) as pool:

        def start(variant: str) -> Server:
            own = folder / variant
            own.mkdir()
            return stack.enter_context(running(variant, own, "--model", str(default_model), environment=environment))

        yield dict(zip(VARIANTS, pool.map(start, VARIANTS), strict=True))


@pytest.fixture(scope="session")
def bench_file(folder: Path) -> Path:
    """Where the page looks for benchmark results; there are none until a test writes some."""
    return folder / "results.json"


@pytest.fixture(scope="session")
def compare(folder: Path, services: dict[str, Server], otlp_port: int, bench_file: Path) -> Iterator[Compare]:
    """`twinscore compare` beside both services."""
    urls = {variant: server.url for variant, server in services.items()}
    with comparing(folder, urls, "--bench", str(bench_file), otlp_port=otlp_port) as found:
        yield found


@dataclass
class Visit:
    """An open page, and everything it did."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def text(self, row: str, variant: str) -> str:
        """The words in a cell of the table of answers."""
        return str(self.page.inner_text(f'td.{variant}[data-row="{row}"]'))

    def wait_for_text(self, selector: str, text: str) -> None:
        self.page.locator(selector).filter(has_text=text).first.wait_for()

    def wait_for_answers(self) -> None:
        self.wait_for_text("#verdict", "identical")

    def send(self, button: str) -> None:
        """Presses a button and waits until its answers are shown."""
        with self.page.expect_response("**/api/send"):
            self.page.get_by_role("button", name=button, exact=True).click()
        self.settle()

    def settle(self) -> None:
        self.page.locator("#answers:not([aria-busy])").wait_for()


# Not for the session: while Playwright is there, its event loop counts as running, and no other test could run one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make setup")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield found
        found.close()


OpenPage = Callable[..., Visit]


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    """Opens a page in a fresh profile: `open_page(url, width=..., ...)`; closed after the test."""
    contexts = []

    def open_it(url: str, *, width: int = 1280, height: int = 900, **options: Any) -> Visit:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        visit = Visit(context.new_page())
        visit.page.set_default_timeout(WAIT_SECONDS * 1000)
        visit.page.on("console", lambda message: visit.complaints.append(f"{message.type}: {message.text}"))
        visit.page.on("pageerror", lambda error: visit.complaints.append(f"error: {error}"))
        visit.page.on("request", lambda request: visit.requests.append(request.url))
        visit.page.goto(url)
        return visit

    yield open_it
    for context in contexts:
        context.close()
