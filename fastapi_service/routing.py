"""A path operation without the parts of FastAPI's request handling that these routes do not use.

`APIRoute` is FastAPI's own extension point. The handler keeps its types, and FastAPI generates the OpenAPI document
from them; but the body is validated once, from its bytes, and the answer is written as bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from shared.contract import wire
from shared.serving.exchange import exchange_of


class ScoringRoute(APIRoute):
    """For `async def endpoint(request: Model) -> Model`, behind the edge.

    Raises:
        TypeError: at definition, if the endpoint asks for anything else: it would not get it.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        parameters = self.dependant.body_params
        others = (
            self.dependant.path_params
            + self.dependant.query_params
            + self.dependant.header_params
            + self.dependant.cookie_params
            + self.dependant.dependencies
        )
        if len(parameters) != 1 or others or self.response_field is None:
            raise TypeError(f"{path}: a scoring endpoint takes one body model and returns one")
        self._request = cast(type[wire.ScoreRequest | wire.BatchScoreRequest], parameters[0].field_info.annotation)
        response: type[BaseModel] = self.response_model
        self._serialize = response.__pydantic_serializer__.to_json

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # A path without parameters needs no regular expression; one below a mount point is left to FastAPI.
        if scope["path"] != self.path or scope["type"] != "http" or scope.get("root_path"):
            return super().matches(scope)
        match = Match.FULL if scope["method"] in (self.methods or ()) else Match.PARTIAL
        return match, {"endpoint": self.endpoint, "path_params": {}, "route": self}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The edge gives the whole body in one message.
        request = wire.parse(self._request, (await receive())["body"])
        exchange_of(scope).admit(request.row_count)
        answer = self.endpoint(request)
        del request  # the endpoint has it, and may let go of it while it waits
        body = self._serialize(await answer)
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "http.response.body", "body": body})
