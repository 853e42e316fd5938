"""Every overlay is rendered once."""

from __future__ import annotations

import functools

import pytest

from tests.deploy import manifests

rendered = functools.cache(lambda folder: manifests.render(manifests.KUBERNETES / folder))


@pytest.fixture(params=manifests.RENDERED)
def folder(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def applied(folder: str) -> list[manifests.Manifest]:
    """What `kubectl apply -k` sends for `folder`."""
    return list(rendered(folder))
