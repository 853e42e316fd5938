"""What the tests of the page look at: scripts run in it, and small readings of what it shows."""

from __future__ import annotations

import json
import re

import httpx

from tests.compare.conftest import Visit
from tests.conftest import Server

FOCUSED = """() => {
  const e = document.activeElement, style = getComputedStyle(e);
  return [e.innerText || e.labels?.[0]?.innerText || e.id || e.tagName, style.outlineStyle, parseFloat(style.outlineWidth)];
}"""

UNLABELLED = """() => [
  ...[...document.querySelectorAll('input')].filter(e => !e.labels.length || !e.labels[0].innerText.trim()),
  ...[...document.querySelectorAll('button')].filter(e => !e.innerText.trim()),
  ...[...document.querySelectorAll('[role=img]')].filter(e => !e.getAttribute('aria-label')),
  ...[...document.querySelectorAll('[aria-describedby]')].filter(e => !document.getElementById(e.getAttribute('aria-describedby'))),
  ...[...document.querySelectorAll('#answers th')].filter(e => !e.scope || !e.innerText.trim()),
].map(e => e.outerHTML.slice(0, 120))"""

# WCAG 2.2, 1.4.3: the ratio of the relative luminances of a text and what it stands on.
CONTRASTS = """() => {
  const channels = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const found = channels(getComputedStyle(e).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || !e.checkVisibility() || e.closest('svg')) continue;
    const [a, b] = [light(channels(getComputedStyle(e).color)), light(behind(e))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 100)]);
  }
  return found;
}"""

OVERFLOWING = """() => [...document.querySelectorAll('td, th, p, button, input, .field, section')]
  .filter(e => e.checkVisibility() && !e.classList.contains('hidden') && e.scrollWidth > e.clientWidth + 1 && e.clientWidth)
  .map(e => e.outerHTML.slice(0, 120))"""


def probability(server: Server, row: list[float | None]) -> str:
    """The digits that the service itself answers."""
    answer = httpx.post(f"{server.url}/score", json={"features": row})
    match = re.search(r'"probability":([^,}]+)', answer.text)
    assert match, answer.text
    return match[1]


def sent_row(visit: Visit) -> list[float | None]:
    """The features in the body that the page says it sent."""
    body = visit.page.locator("#rows details pre").first.text_content()
    row: list[float | None] = json.loads(body)["features"]
    return row


def tab_to(visit: Visit, name: str, limit: int = 40) -> list[str]:
    """Presses Tab until the focus is on what is called so; the names passed on the way. The focus is always visible."""
    passed: list[str] = []
    for _ in range(limit):
        visit.page.keyboard.press("Tab")
        found, style, width = visit.page.evaluate(FOCUSED)
        assert style != "none", found
        assert width >= 2, found
        passed.append(found.strip())
        if passed[-1] == name:
            return passed
    raise AssertionError(f"no {name!r} among {passed}")
