"""`python -m fastapi_service`: uvicorn with the settings of `TWINSCORE_*`, as a container runs it.

`uvicorn --factory fastapi_service.app:create_app` serves the same application with options of your own.
"""

# ruff: noqa: E402
import contextlib
import gc
import os
import signal

# Told to stop while the modules load, it stops: process 1 of a container ignores a signal that nobody handles.
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
# Next to nothing that modules make while they load is garbage; the gate switches this on again when it opens.
gc.disable()

import sys

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from fastapi_service.app import create_app
from shared.contract.errors import UserError
from shared.model.locate import latest_package
from shared.serving.preflight import check
from shared.serving.settings import load_settings

PORT = 8000
GRACE_SECONDS = 5
"""After the deadline of the last request: a client that does not read its answer is not waited for."""


def main() -> None:
    try:
        settings = load_settings()
        check(settings, settings.model or latest_package())
        application = create_app(settings) if settings.workers == 1 else "fastapi_service.workers:create_worker_app"
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    config = uvicorn.Config(
        application,
        factory=settings.workers > 1,
        host=settings.host,
        port=settings.port or PORT,
        workers=settings.workers,
        ssl_certfile=settings.tls_cert_file,
        ssl_keyfile=settings.tls_key_file,
        # The edge and shared.telemetry.logs do these, alike in both variants.
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.deadline_seconds) + GRACE_SECONDS,
    )
    if settings.workers > 1:
        from fastapi_service.workers import Workers

        gc.enable()  # this process goes on as their supervisor
        workers = Workers(config, [config.bind_socket()])
        workers.run()
        sys.exit(STARTUP_FAILURE if workers.failed else 0)
    # uvicorn raises the signal that stopped it once more when it is done: by then it means nothing but the end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = uvicorn.Server(config)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    main()
