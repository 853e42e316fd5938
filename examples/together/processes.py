"""The processes of the example, each started as one would by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.serving.supervisor import Child, Supervisor

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Ports:
    """Where the scoring service, the front before it and the Bento with the mounted app listen."""

    scorer: int = 3000
    front: int = 8000
    mounted: int = 3001

    @property
    def payments(self) -> dict[str, str]:
        """The product's API, both ways."""
        return {
            "FastAPI before BentoML": f"http://127.0.0.1:{self.front}/payments",
            "FastAPI in a Bento": f"http://127.0.0.1:{self.mounted}/api/payments",
        }


def supervisor(ports: Ports) -> Supervisor:
    """Starts and stops all three."""
    paths = {"PYTHONPATH": str(ROOT)}

    def child(name: str, port: int, arguments: list[str], **environment: str) -> Child:
        return Child(name, arguments, paths | environment, f"http://127.0.0.1:{port}")

    local = "--host 127.0.0.1 --port"
    return Supervisor(
        [
            child(
                "the scoring service",
                ports.scorer,
                f"-m shared.cli serve bento --port {ports.scorer}".split(),
                TWINSCORE_ACCESS_LOG="false",
            ),
            child(
                "the front",
                ports.front,
                f"-m uvicorn examples.together.front:app {local} {ports.front} --log-level warning".split(),
                SCORER_URL=f"http://127.0.0.1:{ports.scorer}",
            ),
            child(
                "the Bento",
                ports.mounted,
                f"-m bentoml serve examples.together.mounted:Payments {local} {ports.mounted}".split(),
                BENTOML_DO_NOT_TRACK="True",
            ),
        ],
        stop_seconds=lambda: STOP_SECONDS,
    )
