"""What the OpenAPI document promises: requests made from it, good and bad, are answered as it says, and alike."""

from __future__ import annotations

import httpx
import pytest
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests.differential.conftest import Both
from tests.differential.outcome import bounded

HEADERS = {"x-request-id": "schema"}
COMPARED = ("content-type", "allow", "x-request-id", "connection")


@pytest.fixture(scope="session")
def document(both: Both) -> OpenApiSchema:
    return schemathesis.openapi.from_url(f"{both.urls[0]}/openapi.json")


def test_one_document(both: Both) -> None:
    first, second = (httpx.get(f"{url}/openapi.json", timeout=30) for url in both.urls)
    assert first.content == second.content


@bounded(50)
@given(data=st.data())
def test_requests_from_the_document(both: Both, document: OpenApiSchema, data: st.DataObject) -> None:
    operations = [operation.ok() for operation in document.get_all_operations()]
    operation = data.draw(st.sampled_from(operations))
    mode = data.draw(st.sampled_from(list(schemathesis.GenerationMode)))
    case = data.draw(operation.as_strategy(generation_mode=mode))
    # What /metrics counts differs.
    answers = [case.call(base_url=url, headers=HEADERS) for url in both.urls]
    for answer in answers:
        case.validate_response(answer)
    assert answers[0].status_code == answers[1].status_code
    for name in COMPARED:
        assert answers[0].headers.get(name) == answers[1].headers.get(name)
    if case.path != "/metrics":
        assert answers[0].content == answers[1].content
