"""What the README's first screen shows is what comes out."""

from __future__ import annotations

import json

import httpx

from tests.conftest import ROOT, VARIANTS, StartServer


def test_both_services_give_the_answer_that_the_readme_shows(start_server: StartServer) -> None:
    body = (ROOT / "examples" / "transaction.json").read_bytes()
    answers = []
    for variant in VARIANTS:
        server = start_server(variant)
        answers.append(httpx.post(f"{server.url}/score", content=body, headers={"content-type": "application/json"}))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    readme = (ROOT / "README.md").read_text()
    shown = json.loads(next(line for line in readme.splitlines() if line.startswith('{"probability"')))
    answer = answers[0].json()
    assert answer["model_version"] == shown["model_version"]
    # Another processor may train a model that differs in its last digits.
    assert abs(answer["probability"] - shown["probability"]) < 0.05
