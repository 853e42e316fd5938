"""The BentoML variant: `bentoml serve bento_service.service:FraudDetector`, or `twinscore serve bento`."""

import os

from bento_service.configuration import configure

supervisor: int | None = os.getppid()
"""The process that manages this worker: BentoML's own supervisor is its parent. None where there is none."""

configure()
