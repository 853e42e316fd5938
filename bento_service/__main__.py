"""`python -m bento_service`: BentoML's worker with the settings of `TWINSCORE_*`.

`bentoml serve bento_service.service:FraudDetector` serves the same. BentoML's own supervisor loads all of the service
before its workers do, does not stop with them, and outlives what starts it. So a single worker runs here without one, as
in the image; several run under `shared.serving.supervisor`, which holds their socket.
"""

# ruff: noqa: E402
import gc
import os
import signal

# Told to stop while the modules load, it stops: process 1 of a container ignores a signal that nobody handles.
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
# Next to nothing that modules make while they load is garbage; the gate switches this on again when it opens.
gc.disable()

import argparse
import contextlib
import socket
import sys

import click

import bento_service
from shared.contract.errors import UserError
from shared.serving.settings import Settings, load_settings
from shared.serving.supervisor import Child, Supervisor, local_url

SERVICE = "bento_service.service:FraudDetector"
PORT = 3000
BACKLOG = 2048
GRACE_SECONDS = 5
"""After the deadline of the last request: a client that does not read its answer is not waited for."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bento_service", description=__doc__)
    parser.add_argument("--fd", type=int, help="the listening socket, given by the supervisor")
    parser.add_argument("--worker", type=int, default=1, help="number of this worker")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        if arguments.fd is None:
            _check(settings)
            listener = _listen(settings.host, settings.port or PORT)
            if settings.workers > 1:
                gc.enable()
                sys.exit(_supervise(settings, listener))
            arguments.fd = listener.detach()
            bento_service.supervisor = None
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    _work(settings, arguments.fd, arguments.worker)


def _check(settings: Settings) -> None:
    from shared.serving.preflight import check

    directory = settings.model
    if directory is None:
        from bento_service.store import store_latest

        directory = store_latest()
    check(settings, directory)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}; choose another TWINSCORE_PORT") from None
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener


def _supervise(settings: Settings, listener: socket.socket) -> int:
    scheme = "https" if settings.tls_cert_file else "http"
    url = local_url(scheme, settings.host, listener.getsockname()[1])
    workers = [
        Child(
            f"BentoML worker {number}",
            ["-m", "bento_service", "--fd", str(listener.fileno()), "--worker", str(number)],
            {},
            url,
        )
        for number in range(1, settings.workers + 1)
    ]
    seconds = settings.drain_seconds + settings.deadline_seconds + 2 * GRACE_SECONDS
    return Supervisor(workers, stop_seconds=lambda: seconds, file_descriptors=[listener.fileno()]).run()


def _work(settings: Settings, listener: int, number: int) -> None:
    """Serves by BentoML's own worker, until it is told to stop."""
    from _bentoml_impl.worker.service import main as worker

    arguments = [SERVICE, "--fd", str(listener), "--worker-id", str(number), "--backlog", str(BACKLOG)]
    arguments += ["--timeout-graceful-shutdown", str(int(settings.deadline_seconds) + GRACE_SECONDS)]
    if settings.tls_cert_file and settings.tls_key_file:
        arguments += ["--ssl-certfile", str(settings.tls_cert_file), "--ssl-keyfile", str(settings.tls_key_file)]
    # The server raises the signal that stopped it once more when it is done: by then it means nothing but the end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt, click.exceptions.Abort):
        worker.main(arguments, standalone_mode=False)


if __name__ == "__main__":
    main()
