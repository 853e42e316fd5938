"""The page in a real browser, beside both services: what it shows is what they answered, to everyone."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from shared.reliability.ports import free_port
from tests.compare.conftest import Compare, OpenPage, Visit, comparing
from tests.compare.look import CONTRASTS, OVERFLOWING, UNLABELLED, probability, sent_row, tab_to
from tests.compare.relay import relay
from tests.conftest import VARIANTS, Server

REFUSED = (
    ("NaN", 422, "Unprocessable Content"),
    ("A string", 422, "Unprocessable Content"),
    ("Wrong length", 422, "Unprocessable Content"),
    ("Broken JSON", 400, "Bad Request"),
    ("Wrong content type", 415, "Unsupported Media Type"),
)


@pytest.fixture
def visit(compare: Compare, open_page: OpenPage) -> Visit:
    """The page with the first answers, which come unasked."""
    found = open_page(compare.url)
    found.wait_for_answers()
    return found


def test_it_shows_what_each_service_answers_and_that_the_bits_are_the_same(
    visit: Visit, services: dict[str, Server]
) -> None:
    row = sent_row(visit)
    for variant, server in services.items():
        digits = probability(server, row)
        assert visit.text("status", variant) == "200 OK"
        assert visit.text("probability", variant).startswith(digits)
        assert visit.text("bits", variant) == "0x" + struct.pack(">f", float(digits)).hex()
        assert re.match(r"[\d.]+ ms\n", visit.text("time", variant))
        assert json.loads(visit.page.inner_text(f"#bodies td.{variant} pre")) == {
            "probability": float(digits),
            "model_version": "1.0.0",
        }
    assert visit.text("request", "fastapi") == visit.text("request", "bento")
    traces = {visit.text("trace", variant) for variant in VARIANTS}
    assert len(traces) == 2
    assert all(re.fullmatch(r"[0-9a-f]{32}", trace) for trace in traces)
    assert "Bit-identical" in visit.page.inner_text("#verdict")
    # The traces come a moment later.
    for variant in VARIANTS:
        visit.wait_for_text(f'td.{variant}[data-row="batch"]', "Alone: a batch of 1 row")
        visit.wait_for_text(f'td.{variant}[data-row="where"]', "POST /score")
        lines = visit.page.locator(f'td.{variant}[data-row="where"] li').all_inner_texts()
        times = {name: float(value.removesuffix(" ms")) for name, value in (re.split(r"\n+", line) for line in lines)}
        assert list(times) == ["at this page", "POST /score", "inference", "queued", "batch"]
        assert times["POST /score"] >= times["inference"] >= times["batch"] > 0


def test_a_burst_forms_batches_and_shows_them(visit: Visit) -> None:
    fewest = dict.fromkeys(VARIANTS, 50)
    # On a busy machine a service may be given the processor after each request that is written: then none waits.
    for _ in range(20):
        visit.send("50 at once")
        assert "50 of 50 pairs alike" in visit.page.inner_text("#verdict")
        for variant in VARIANTS:
            assert visit.text("status", variant) == "50 \u00d7 200 OK"
            visit.wait_for_text(f'td.{variant}[data-row="batch"]', "50 rows in")
            found = re.match(r"50 rows in (\d+) batch", visit.text("batch", variant))
            assert found
            assert visit.page.locator(f"td.{variant} .batch").count() == int(found[1])
            assert visit.page.locator(f"td.{variant} .batch i").count() == 50
            assert visit.page.locator(f"td.{variant} .staircase rect").count() == 50
            fewest[variant] = min(fewest[variant], int(found[1]))
        if max(fewest.values()) < 50:
            return
    raise AssertionError(f"no batches: {fewest}")


def test_requests_in_turn_make_a_distribution_and_headers_stand_row_by_row(visit: Visit) -> None:
    visit.send("50 in turn")
    for variant in VARIANTS:
        assert "Median of 50" in visit.text("time", variant)
        assert "of the last 51" in visit.text("time", variant)
        assert visit.page.locator(f"td.{variant} .histogram rect").count() >= 1
    rows = [row.inner_text().split("\t") for row in visit.page.locator("#headers tr:not(.heading)").all()]
    found: dict[str, list[str]] = {name.strip(): values for name, *values in rows}
    assert {"content-type", "content-length", "x-request-id", "date"} <= set(found)
    assert found["content-type"] == ["application/json"] * 2
    tops = visit.page.evaluate(
        "[...document.querySelectorAll('#rows tr')].map(row => [...row.cells].map(c => c.getBoundingClientRect().top))"
    )
    assert all(len(set(row)) == 1 for row in tops)


def test_features_are_edited_by_name_and_what_is_no_number_is_not_sent(
    visit: Visit, services: dict[str, Server]
) -> None:
    before = sent_row(visit)
    amount = visit.page.get_by_label("amount", exact=True)
    amount.fill("123456.5")
    assert "Outside what training saw." in visit.page.inner_text(".field.outside")
    visit.page.get_by_label("terminal_fraud_rate_1d", exact=True).evaluate(
        "field => field.closest('details').open = true"
    )
    visit.page.get_by_label("terminal_fraud_rate_1d", exact=True).fill("")
    assert "2 values edited" in visit.page.inner_text("#about")
    with visit.page.expect_response("**/api/send"):
        amount.press("Enter")
    visit.settle()
    row = sent_row(visit)
    names = [label.text_content() for label in visit.page.locator(".field label").all()]
    edited = {"amount": 123456.5, "terminal_fraud_rate_1d": None}
    assert dict(zip(names, row, strict=True)) == dict(zip(names, before, strict=True)) | edited
    for variant, server in services.items():
        assert visit.text("probability", variant).startswith(probability(server, row))
    visit.page.get_by_role("button", name="Undo edits").click()
    assert amount.input_value() == str(before[0])

    sends = len([url for url in visit.requests if url.endswith("/api/send")])
    amount.fill("ten")
    amount.press("Enter")
    assert amount.get_attribute("aria-invalid") == "true"
    assert "Not a number." in visit.page.inner_text(".field.wrong")
    assert visit.page.evaluate("document.activeElement.id") == amount.get_attribute("id")
    assert len([url for url in visit.requests if url.endswith("/api/send")]) == sends


def test_every_sample_is_scored_alike(visit: Visit) -> None:
    names = [button.inner_text() for button in visit.page.locator("#samples button").all()]
    assert names == ["Example", "Typical", "High amount", "Bad shop", "No history", "Out of range"]
    shown = {}
    for name in names:
        visit.send(name)
        assert "Bit-identical" in visit.page.inner_text("#verdict")
        shown[name] = float(visit.text("bits", "fastapi") and visit.page.inner_text("td.fastapi .digits"))
    assert shown["High amount"] > 0.9 > 0.1 > shown["Typical"]
    assert shown["Bad shop"] > shown["Typical"]


def test_refused_input_shows_both_problem_documents(visit: Visit) -> None:
    for button, status, title in REFUSED:
        visit.send(button)
        assert visit.page.inner_text("#verdict").startswith(f"Refused alike: {status}")
        for variant in VARIANTS:
            assert visit.text("status", variant).startswith(str(status))
            assert visit.text("problem", variant).startswith(title)
            document = json.loads(visit.page.inner_text(f"#bodies td.{variant} pre"))
            assert document["status"] == status
            assert document["request_id"] == visit.text("request", variant)
            assert visit.text("batch", variant) == "None: refused before it was queued"
        assert not visit.page.is_visible("#row-probability")
    visit.send("Send to both")
    assert visit.page.is_visible("#row-probability")
    assert not visit.page.is_visible("#row-problem")


def test_it_asks_no_other_host_and_complains_of_nothing(visit: Visit, compare: Compare) -> None:
    visit.send("50 at once")
    visit.send("NaN")
    assert {url.split("/")[2] for url in visit.requests} == {compare.url.split("/")[2]}
    assert visit.complaints == []


def test_the_results_of_a_benchmark_are_followed(visit: Visit, bench_file: Any) -> None:
    from benchmarks.load.outcome import Outcome
    from benchmarks.results import Measurement, Phase, Results

    visit.wait_for_text("#bench-state", "Nothing measured yet")
    outcome = Outcome(2.0, 2400, 0, 3, 0.81, 1.2, 2.5, 4.0, 6.0)
    identity = ("contenders", "fastapi", "ours", "deep", 0)
    results = Results({"command": "twinscore bench --quick"}, [])
    results.measurements.append(Measurement(*identity, phases=[Phase("closed", 64, outcome, 100.0, 3.5)]))
    results.write(bench_file)
    visit.wait_for_text("#bench-charts", "64 connections, closed loop")
    cells = visit.page.inner_text("#bench-charts tbody tr").split()
    assert cells == ["FastAPI", "(newest)", "0.81", "ms", "2.50", "ms", "1,200", "3"]
    results.measurements.append(Measurement("contenders", "bento", "ours", "deep", 0, failure="it did not start"))
    results.write(bench_file)
    visit.wait_for_text("#bench-charts", "BentoML: it did not start")
    bench_file.write_text('{"format": 1}')
    visit.wait_for_text("#bench-state", "holds no results")
    assert visit.page.locator("#bench-charts tbody tr").count() == 0
    bench_file.unlink()


def visit_with(compare: Compare, open_page: OpenPage, **options: Any) -> Visit:
    found = open_page(compare.url, **options)
    found.wait_for_answers()
    for variant in ("fastapi", "bento"):
        found.wait_for_text(f'td.{variant}[data-row="batch"]', "Alone")
    return found


def test_everything_is_done_by_keyboard(compare: Compare, open_page: OpenPage) -> None:
    visit = visit_with(compare, open_page)
    page = visit.page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "answers"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.goto(compare.url)  # without the fragment, where the focus would go on
    visit.wait_for_answers()
    order = tab_to(visit, "High amount")
    assert order == ["Skip to the answers", "Example", "Typical", "High amount"]
    with page.expect_response("**/api/send"):
        page.keyboard.press("Enter")
    visit.settle()
    assert float(page.inner_text("td.fastapi .digits")) > 0.9
    tab_to(visit, "50 at once")
    with page.expect_response("**/api/send"):
        page.keyboard.press("Space")
    visit.settle()
    assert visit.text("status", "bento") == "50 \u00d7 200 OK"
    order = tab_to(visit, "amount")
    assert order[:5] == ["NaN", "A string", "Wrong length", "Broken JSON", "Wrong content type"]
    page.keyboard.press("Control+A")
    page.keyboard.type("1")
    with page.expect_response("**/api/send"):
        page.keyboard.press("Enter")
    visit.settle()
    assert page.locator("#rows details pre").first.text_content().startswith('{"features": [1, ')


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_colour_schemes(compare: Compare, open_page: OpenPage, scheme: str) -> None:
    visit = visit_with(compare, open_page, color_scheme=scheme)
    page = visit.page
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    page.get_by_label("amount", exact=True).fill("9e9")
    page.get_by_label("is_night", exact=True).fill("x")
    contrasts = page.evaluate(CONTRASTS)
    visit.page.get_by_label("is_night", exact=True).fill("0")
    visit.send("NaN")
    contrasts += page.evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert [item for item in contrasts if item[0] < 4.5] == []
    channels = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert all(channel < 60 for channel in channels) if scheme == "dark" else all(channel > 200 for channel in channels)


def test_everything_has_a_name_and_nothing_moves_unasked(compare: Compare, open_page: OpenPage) -> None:
    page = visit_with(compare, open_page, reduced_motion="reduce").page
    moving = (
        "[...document.querySelectorAll('*')].filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0).length"
    )
    assert page.evaluate(moving) == 0
    assert page.evaluate("document.getAnimations().length") == 0
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert page.evaluate(UNLABELLED) == []
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("h1").count() == 1
    assert page.locator(".field input").count() == 42
    assert page.get_attribute("#verdict", "role") == "status"
    assert page.get_by_role("table", name="Answers").get_by_role("row").count() > 10
    assert page.get_by_role("columnheader").all_inner_texts()[1].startswith("FastAPI")


def test_it_fits_a_narrow_screen(compare: Compare, open_page: OpenPage) -> None:
    page = visit_with(compare, open_page, width=360, height=740).page
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(OVERFLOWING) == []
    # Narrow or not, it is a table, with both answers in one row.
    assert page.get_by_role("rowheader", name="Probability").count() == 1
    tops = page.evaluate(
        "[...document.querySelectorAll('#row-probability td')].map(e => e.getBoundingClientRect().top)"
    )
    assert len(tops) == 2
    assert tops[0] == tops[1]


def test_one_comes_goes_and_lies(open_page: OpenPage, services: dict[str, Server], tmp_path: Path) -> None:
    port = free_port()
    urls = {"fastapi": services["fastapi"].url, "bento": f"http://127.0.0.1:{port}"}
    with comparing(tmp_path, urls, otlp_port=0) as compare:
        visit = open_page(compare.url)
        page = visit.page
        visit.wait_for_text("#verdict", "Only FastAPI answered; BentoML: nothing listens there.")
        assert visit.text("status", "fastapi") == "200 OK"
        assert visit.text("status", "bento") == "No answer: nothing listens there"
        assert "Traces are not received" in visit.text("batch", "fastapi")
        with relay(port, services["bento"].url):
            visit.wait_for_answers()  # asked again by itself
            assert page.inner_text("#services-state") == "BentoML is ready."
        visit.wait_for_text("th.bento", "not reachable")
        assert page.inner_text("#services-state") == "BentoML is not reachable."
        visit.send("50 at once")
        assert visit.text("status", "bento") == "50 \u00d7 No answer: nothing listens there"
        with relay(port, services["bento"].url, "lie"):
            visit.wait_for_text("th.bento", "ready")
            visit.send("Send to both")
            assert page.inner_text("#verdict").startswith("They differ: both answer 200, but float32 bits ")
            bits = [visit.text("bits", variant) for variant in VARIANTS]
            assert bits[0] != bits[1]
        assert visit.complaints == []
