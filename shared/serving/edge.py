"""The ASGI edge both services mount: what every request meets before and after its framework.

It gives each request an id and a deadline, refuses what the contract refuses before a body is parsed, reads bodies
within their limit, and turns every error that leaves the framework into a problem document. It never routes, parses
or answers a request that the contract accepts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from shared.contract.errors import (
    DeadlineExceeded,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Problem,
    Unauthorized,
    UnsupportedMediaType,
)
from shared.contract.routes import GET, PROBES
from shared.serving.asgi import ASGIApp, Receive, Scope, Send
from shared.serving.exchange import EXCHANGE, Exchange
from shared.serving.gate import Gate
from shared.serving.headers import RequestHeaders, new_request_id, without_range
from shared.serving.inference import PredictionError
from shared.serving.keys import ApiKeys
from shared.serving.turns import SURPLUS, WAITED

EXTENSION = "extension"
"""The one metric route of all paths that only one variant has."""

OTHER = "other"
"""The one metric route of all paths that are none."""

NOTHING: frozenset[str] = frozenset()

logger = logging.getLogger("twinscore.edge")


class Edge:
    """ASGI middleware.

    Args:
        app: the framework's application.
        gate: readiness, admission and deadlines of this process.
        keys: the API keys, one of which every request but a probe must bring; None needs none.
        routes: the methods that each path answers.
        max_body_bytes: the largest request body.
        prefixes: of further paths, each answering GET and HEAD.
        extensions: paths that only this variant has, each answering GET and HEAD; one ending in / is a prefix.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        gate: Gate,
        keys: ApiKeys | None,
        routes: Mapping[str, frozenset[str]],
        max_body_bytes: int,
        prefixes: tuple[str, ...] = (),
        extensions: tuple[str, ...] = (),
    ) -> None:
        self.app = app
        self.gate = gate
        self._keys = keys
        self.max_body_bytes = max_body_bytes
        self._methods = dict(routes)
        self._prefixes = prefixes
        self._extensions = frozenset(extensions)
        self._extension_prefixes = tuple(path for path in extensions if path.endswith("/") and path != "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await self._http(scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = RequestHeaders(scope["headers"])
        waited = scope.get(WAITED, 0.0)
        request_id = headers.request_id or new_request_id()
        exchange = Exchange(self.gate, request_id, receive, send, waited=waited, surplus=SURPLUS in scope)
        method = scope["method"]
        route, allowed = self._route(scope["path"])
        exchange.begin(method, route, scope, headers)
        try:
            if method not in allowed:
                raise MethodNotAllowed(", ".join(sorted(allowed))) if allowed else NotFound
            if self._keys is not None and route not in PROBES and not self._keys.accept(headers.authorization):
                raise Unauthorized
            if method == "POST":
                if waited >= self.gate.deadline_seconds:
                    raise DeadlineExceeded
                exchange.deadline -= waited
                if not headers.json:
                    raise UnsupportedMediaType
                await exchange.read_body(self.max_body_bytes, headers.content_length)
            elif method == "HEAD":
                # The server leaves the body out: it keeps its own copy of the method.
                scope = {**scope, "method": "GET"}
            if headers.ranged:
                scope = {**scope, "headers": without_range(scope["headers"])}
            scope[EXCHANGE] = exchange
            await self.app(scope, exchange.receive, exchange.send)
            await exchange.finish()
        except Problem as problem:
            await exchange.refuse(problem)
        except asyncio.CancelledError:
            if not await exchange.expired_answer():
                raise
        except PredictionError:
            await exchange.refuse(InternalError())  # logged where it happened, once for its whole batch
        except Exception:
            logger.exception("request failed", extra={"fields": exchange.identity})
            await exchange.refuse(InternalError())
        finally:
            exchange.close()
        await exchange.settle()
        exchange.leave()

    def _route(self, path: str) -> tuple[str, frozenset[str]]:
        """The template of a path, for metrics, and the methods it answers: none where there is no such route."""
        methods = self._methods.get(path)
        if methods is not None:
            return path, methods
        for prefix in self._prefixes:
            if path.startswith(prefix):
                return prefix + "{file}", GET
        if path in self._extensions or (self._extension_prefixes and path.startswith(self._extension_prefixes)):
            return EXTENSION, GET
        return OTHER, NOTHING
