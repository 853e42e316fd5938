"""Every way a request or a command can be refused. Raising one of these is enough: the edge and the CLI render it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

PROBLEM_TYPE = "urn:twinscore:problem:"
PROBLEM_CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
"""What 429 and 503 ask for."""


class UserError(Exception):
    """Input a person gave (a file, a setting, an option) that cannot be used.

    The message is one line that says what is wrong and what to do; the command line prints it and exits 2.
    """


class Problem(Exception):  # noqa: N818 - the RFC's own term
    """A refusal that goes out as a problem document (RFC 9457)."""

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]
    detail: str

    def __init__(self, detail: str | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail or self.detail)
        self.detail = detail or self.detail
        self.headers = dict(headers or {})
        self.errors: Sequence[Mapping[str, Any]] | None = None

    @classmethod
    def type_uri(cls) -> str:
        return PROBLEM_TYPE + cls.slug

    def document(self, request_id: str) -> bytes:
        """The body: compact JSON in UTF-8, members in the contract's order."""
        members: dict[str, Any] = {
            "type": self.type_uri(),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.errors is not None:
            members["errors"] = self.errors
        return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class NotFound(Problem):
    status, slug, title = 404, "not-found", "Not Found"
    detail = "There is no such route. GET /openapi.json lists them all."


class MethodNotAllowed(Problem):
    status, slug, title = 405, "method-not-allowed", "Method Not Allowed"
    detail = "The route exists, but not with this method: see the Allow header."

    def __init__(self, allow: str) -> None:
        super().__init__(headers={"allow": allow})


class Unauthorized(Problem):
    status, slug, title = 401, "unauthorized", "Unauthorized"
    detail = "Send a valid API key: Authorization: Bearer <key>."

    def __init__(self) -> None:
        super().__init__(headers={"www-authenticate": "Bearer"})


class UnsupportedMediaType(Problem):
    status, slug, title = 415, "unsupported-media-type", "Unsupported Media Type"
    detail = "Send an uncompressed body with content-type: application/json."


class PayloadTooLarge(Problem):
    status, slug, title = 413, "payload-too-large", "Content Too Large"
    detail = "The body is larger than the service accepts."

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes, the most that this service accepts.")


class MalformedJSON(Problem):
    status, slug, title = 400, "malformed-json", "Bad Request"
    detail = "The body is not JSON."


class InvalidRequest(Problem):
    """JSON that breaks the schema; `errors` lists where (`loc`), why (`msg`) and the kind (`type`)."""

    status, slug, title = 422, "invalid-request", "Unprocessable Content"
    detail = "The body does not match the schema: see errors."

    def __init__(self, errors: Sequence[Mapping[str, Any]], *, total: int) -> None:
        shown = "" if total == len(errors) else f" The first {len(errors)} of {total} are listed."
        super().__init__(self.detail + shown)
        self.errors = errors


class NotReady(Problem):
    status, slug, title = 503, "not-ready", "Service Unavailable"
    detail = "The service is starting or stopping. Try again shortly, or at another replica."

    def __init__(self) -> None:
        super().__init__(headers={"retry-after": str(RETRY_AFTER_SECONDS)})


class TooManyRequests(Problem):
    status, slug, title = 429, "too-many-requests", "Too Many Requests"
    detail = "More requests are in flight than this service takes at once. Try again shortly."

    def __init__(self) -> None:
        super().__init__(headers={"retry-after": str(RETRY_AFTER_SECONDS)})


class DeadlineExceeded(Problem):
    status, slug, title = 504, "deadline-exceeded", "Gateway Timeout"
    detail = "The request was not answered before its deadline. It may be sent again."


class InternalError(Problem):
    status, slug, title = 500, "internal-error", "Internal Server Error"
    detail = "The service failed. The fault is logged under this request id."


PROBLEMS: tuple[type[Problem], ...] = (
    MalformedJSON,
    Unauthorized,
    NotFound,
    MethodNotAllowed,
    PayloadTooLarge,
    UnsupportedMediaType,
    InvalidRequest,
    TooManyRequests,
    InternalError,
    NotReady,
    DeadlineExceeded,
)
