"""Every contract vector, and the golden rows of the package that is served."""

from __future__ import annotations

import os

import pytest

from shared.model.package import ModelPackage
from shared.verification.client import Target, parse_target
from shared.verification.discovery import feature_count
from shared.verification.golden import golden_document, read_package
from shared.verification.patterns import Difference
from shared.verification.runner import Runner
from shared.verification.templates import default_variables
from shared.verification.vectors import Vector, parse_vectors, protocol_vectors
from tests.conftest import Server


@pytest.fixture(scope="session")
def target(server: Server) -> Target:
    key = os.environ.get("TWINSCORE_API_KEY")
    return parse_target(server.url, headers=[("authorization", f"Bearer {key}")] if key else [])


@pytest.fixture(scope="session")
def runner(target: Target) -> Runner:
    capabilities = ["api-key"] if target.headers else []
    return Runner(target, protocol_vectors(), default_variables(feature_count(target)), capabilities)


@pytest.mark.parametrize("vector", protocol_vectors().vectors, ids=lambda vector: vector.id)
def test_protocol(runner: Runner, vector: Vector) -> None:
    result = runner.check(vector)
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.differences == [], describe(result.differences)


def test_golden(target: Target, package: ModelPackage) -> None:
    vectors = parse_vectors(golden_document(read_package(package.directory)))
    results = Runner(target, vectors, default_variables(len(package.manifest.features))).run()
    differences = {result.vector.id: result.differences for result in results if not result.passed}
    assert differences == {}
    assert len(results) > len(package.golden_rows)


def describe(differences: list[Difference]) -> str:
    return "\n".join(f"{item.where}: - {item.expected} + {item.actual}" for item in differences)
