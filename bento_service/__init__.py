"""The BentoML variant: `bentoml serve bento_service.service:FraudDetector`, or `twinscore serve bento`."""

from bento_service.configuration import configure

configure()
