"""The users of the published Kind scenario: each sends its next request as soon as it has the answer."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from locust import FastHttpUser, constant, task

BODIES = itertools.cycle(Path(os.environ["BENCH_BODIES"]).read_bytes().splitlines())


class Scorer(FastHttpUser):
    wait_time = constant(0)

    @task
    def score(self) -> None:
        self.client.post(os.environ["BENCH_PATH"], data=next(BODIES), headers={"content-type": "application/json"})
