"""The one place that overrides BentoML: it says so when a release has moved what it overrides."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from shared.serving.gate import Gate

with warnings.catch_warnings():
    # What BentoML imports uses names that its libraries have deprecated.
    warnings.simplefilter("ignore")
    from bento_service import dispatcher


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    original = dispatcher.server_app.CorkDispatcher
    yield
    dispatcher.server_app.CorkDispatcher = original


def gate() -> Gate:
    return Gate(max_in_flight=1, deadline_seconds=1)


def test_it_is_put_where_bentoml_looks_for_its_dispatcher() -> None:
    dispatcher.install(gate())
    assert dispatcher.server_app.CorkDispatcher is dispatcher.EagerDispatcher


def test_a_release_that_moved_it_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(dispatcher.server_app, "CorkDispatcher")
    with pytest.raises(RuntimeError, match="TWINSCORE_BATCHER=native"):
        dispatcher.install(gate())
    dispatcher.server_app.CorkDispatcher = None


def test_a_release_with_other_parameters_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Moved:
        def __init__(self, max_batch_size: int, strategy: str) -> None: ...

    monkeypatch.setattr(dispatcher, "CorkDispatcher", Moved)
    with pytest.raises(RuntimeError, match=r"another batch dispatcher than 1\.4\.39"):
        dispatcher.install(gate())
