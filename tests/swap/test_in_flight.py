"""Two thousand requests in flight while a worker is killed, traffic and model are swapped, services are stopped."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from shared.reliability.limits import raise_file_limit
from shared.reliability.swap import swap_under_load
from tests.swap.conftest import SECOND_VERSION

IN_FLIGHT = 2000
FILES_A_REQUEST = 4
"""One at the client, two in the proxy, one in the service, of which the proxy has the most."""


def test_only_what_the_killed_worker_held_fails(default_model: Path, second_model: Path, tmp_path: Path) -> None:
    in_flight = min(IN_FLIGHT, raise_file_limit() // FILES_A_REQUEST)
    report = asyncio.run(swap_under_load(default_model, second_model, tmp_path, in_flight=in_flight))
    unexplained = Counter(failure.reason for failure in report.unexplained)
    assert not unexplained, (report.events, report.proxy_log)
    assert len(report.tally.failed) <= report.held
    assert report.tally.refused == {}
    assert set(report.tally.versions) == {default_model.name, SECOND_VERSION}
    assert report.exit_codes == {"fastapi": 0, "bento": 0}
    assert min(count for _, _, count in report.events) > 0.9 * in_flight
