"""Requests made from a service's own OpenAPI document, good and bad: it answers as the document says, never with a 5xx."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.schemas import OpenApiSchema

from shared.reliability.services import Service
from tests.fuzz.conftest import CASES, LONG, SEED

EXAMPLES = CASES if LONG else 150


@pytest.fixture(scope="module")
def document(service: Service) -> OpenApiSchema:
    return schemathesis.openapi.from_url(f"{service.url}/openapi.json")


@pytest.mark.timeout(36_000)
@seed(SEED)
@settings(max_examples=EXAMPLES, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_requests_from_the_document(service: Service, document: OpenApiSchema, data: st.DataObject) -> None:
    operations = [operation.ok() for operation in document.get_all_operations()]
    operation = data.draw(st.sampled_from(operations))
    mode = data.draw(st.sampled_from(list(schemathesis.GenerationMode)))
    case = data.draw(operation.as_strategy(generation_mode=mode))
    # Every check there is for a single answer: status, content type, headers, schema, and no 5xx.
    case.call_and_validate(base_url=service.url)
