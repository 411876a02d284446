"""An error as a status and a body in OpenAI's shape. Pure."""

from __future__ import annotations

from aivax_cli.core.errors import (
    AivaxError,
    BudgetError,
    ContextError,
    KeyMissingError,
    KnowledgeError,
    ModelError,
    NotFoundError,
    StructureError,
    ToolError,
    UsageError,
)

_PASSED_ON = frozenset({400, 401, 403, 404, 408, 409, 413, 422, 429})
_KINDS: dict[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


class RequestError(AivaxError):
    """What is wrong with a request itself, with its status."""

    def __init__(
        self, message: str, status: int = 400, *, code: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s


def status_of(error: Exception) -> int:
    """The HTTP status of an error. An endpoint's own refusal is passed on, but for its key: that is ours."""
    match error:
        case RequestError():
            return error.status
        case NotFoundError():
            return 404
        case BudgetError():
            return 402
        case ContextError() | UsageError():
            return 400
        case KeyMissingError() | KnowledgeError():
            return 503
        case ModelError(status=int(status)) if status in _PASSED_ON - {401, 403, 404}:
            return status
        case ModelError(status=503):
            return 503
        case ModelError() | ToolError() | StructureError():
            return 502
    return 500


def error_body(error: Exception) -> dict[str, object]:
    """`{"error": {"message", "type", "param", "code"}}`. What nobody foresaw is not told."""
    status = status_of(error)
    told = isinstance(error, AivaxError) and status != 500
    code = error.code if isinstance(error, RequestError) else None
    if isinstance(error, NotFoundError):
        code = "model_not_found"
    return {
        "error": {
            "message": str(error) if told else "the server failed; see its log",
            "type": _KINDS.get(status, "api_error"),
            "param": None,
            "code": code,
        }
    }
