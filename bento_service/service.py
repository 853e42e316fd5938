"""The BentoML service, in the order in which it comes to life; `fastapi_service/app.py` has the same steps."""

import bentoml
import numpy as np

from bento_service import dispatcher, middleware, supervisor
from bento_service.io import descriptors
from bento_service.reading import reading_routes
from bento_service.store import stored_model
from shared.contract import openapi, routes
from shared.model.manifest import read_manifest
from shared.model.package import load_package
from shared.serving import server
from shared.serving.drain import Drain
from shared.serving.edge import Edge
from shared.serving.gate import Gate
from shared.serving.health import Health
from shared.serving.inference import Inference
from shared.serving.observe import observe
from shared.serving.settings import load_settings
from shared.telemetry.logs import Logs

# Settings
settings = load_settings()
logs = Logs("bento", settings.log_format)
logs.install()
gate = Gate(max_in_flight=settings.max_in_flight, deadline_seconds=settings.deadline_seconds)
server.install(gate)

# Model: its manifest fixes the schema now; the service loads and verifies the rest when it starts
stored, directory = stored_model(settings.model)
manifest = read_manifest(directory)
ScoreInput, ScoreOutput, BatchScoreInput, BatchScoreOutput = descriptors(len(manifest.features), manifest.version)
reading = reading_routes(openapi.document(openapi.operations(len(manifest.features), manifest.example)))

middleware.install()
if settings.batcher == "eager":
    dispatcher.install(gate)


@bentoml.service(
    name="fraud_detector",
    workers=settings.workers,
    resources={"cpu": "1"},
    http={"host": settings.host, "port": settings.port or 3000},
    # The edge answers at the deadline; BentoML's own limit, which cannot be left out, must come later.
    traffic={"timeout": settings.deadline_seconds + 5},
    # Ours are the same in both variants; BentoML's would be built, span by span, with nobody to read them.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},
)
@bentoml.asgi_app(reading, path="/")
class FraudDetector:
    """Scores card transactions for fraud."""

    model = stored

    def __init__(self) -> None:
        Drain(gate, settings.drain_seconds).install(supervisor)
        package = load_package(directory, settings.backend)
        reading.state.telemetry = telemetry = observe(gate, package, settings, logs, server_pid=supervisor)
        reading.state.card = package.card.model_dump_json()

        # Warm-up
        self.health = Health(gate, settings.hang_seconds)
        self.inference = Inference(package, telemetry, self.health, max_batch_rows=settings.max_batch_rows)
        # BentoML binds an API method anew, signature and all, for every request, unless the instance has it bound.
        self.score, self.score_batch = self.score, self.score_batch
        gate.open()
        telemetry.ready(package, self.inference.slice_rows)

    @bentoml.on_startup
    async def watch(self) -> None:
        """Begins to watch over the event loop, which does not run yet when the service is made."""
        self.health.watch()

    # Routes
    @bentoml.api(
        route=routes.SCORE,
        input_spec=ScoreInput,
        output_spec=ScoreOutput,
        # Batching
        batchable=settings.batcher != "off",
        max_batch_size=settings.max_batch_rows,
        max_latency_ms=int(settings.deadline_seconds * 1000),
    )
    async def score(self, features: np.ndarray) -> np.ndarray:
        """The probabilities that transactions are fraudulent, for the rows of one batch."""
        return await self.inference.predict(features)

    @bentoml.api(route=routes.SCORE_BATCH, input_spec=BatchScoreInput, output_spec=BatchScoreOutput)
    async def score_batch(self, features: np.ndarray) -> np.ndarray:
        """The probabilities of up to 1,024 transactions, in their order."""
        return await self.inference.predict(features)

    def __is_ready__(self) -> bool:
        """The model is loaded, verified and warm, and no drain has begun."""
        return gate.ready

    # Shutdown
    @bentoml.on_shutdown
    def stop(self) -> None:
        """Refuses what still comes, and writes what was measured."""
        # The watchdog last: a prediction that hangs would hold this too.
        self.inference.close()
        self.health.close()
        gate.close()


FraudDetector.add_asgi_middleware(  # type: ignore[attr-defined]
    Edge,
    gate=gate,
    keys=settings.api_keys(),
    routes=routes.ROUTES,
    prefixes=(routes.DOCS_FILES,),
    extensions=("/", "/schema.json", "/docs.json", "/static_content/") if settings.bentoml_pages else (),
    max_body_bytes=settings.body_limit(len(manifest.features)),
)
