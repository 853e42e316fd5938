"""The FastAPI application without its path operation for `/score`: `uvicorn --factory ...:create_app`."""

from fastapi import FastAPI

from fastapi_service import app as variant
from shared.contract import routes


def create_app() -> FastAPI:
    app = variant.create_app()
    kept = [route for route in app.router.routes if getattr(route, "path", None) != routes.SCORE]
    assert len(kept) == len(app.router.routes) - 1
    app.router.routes[:] = kept
    return app
