"""The BentoML service without its API method `score`: `bentoml serve ...:FraudDetector`."""

from bento_service.service import FraudDetector

del FraudDetector.apis["score"]
