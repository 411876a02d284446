"""An error as a status and a body in OpenAI's shape. Pure, but for the log.

What a client is told names no file, address, variable or key of the server; the log has the whole line.
"""

from __future__ import annotations

import logging
import re

from aivax_cli.core.errors import (
    AivaxError,
    BudgetError,
    ContextError,
    DefinitionError,
    ModelError,
    NotFoundError,
    StructureError,
    ToolError,
    UsageError,
)

_LOG = logging.getLogger("aivax.server")
_PASSED_ON = frozenset({400, 408, 409, 413, 422, 429})
"""An endpoint's refusals that are about the request. Those about a key or a model are about ours."""
_KINDS: dict[int, str] = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
_ADDRESS = re.compile(
    r"\w+://\S+"
    r"|(?:\b(?:\d{1,3}\.){3}\d{1,3}\b|\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]|\blocalhost\b)(?::\d+)?"
)
_WHO = re.compile(r"^(?:the local model|\S+) (?=failed|refuse|reports)")
"""How a message of the model's client begins: with a provider's name, or the host of an endpoint."""


class RequestError(AivaxError):
    """What is wrong with a request itself, with its status."""

    def __init__(
        self,
        message: str,
        status: int = 400,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s


def status_of(error: Exception) -> int:
    """The HTTP status of an error."""
    match error:
        case RequestError():
            return error.status
        case NotFoundError():
            return 404
        case BudgetError():
            return 402
        case DefinitionError():
            return 503
        case ContextError() | UsageError():
            return 400
        case ModelError(status=int(status)) if status in _PASSED_ON:
            return status
        case ModelError(status=503):
            return 503
        case ModelError() | ToolError() | StructureError():
            return 502
        case AivaxError():  # a key, an index or a file of the server is not there
            return 503
    return 500


def headers_of(error: Exception) -> dict[str, str]:
    """`retry-after` in whole seconds, where somebody has said how long."""
    wait_s = getattr(error, "retry_after_s", None)
    if not isinstance(wait_s, int | float):
        return {}
    return {"retry-after": str(max(1, round(wait_s)))}


def error_body(error: Exception) -> dict[str, object]:
    """`{"error": {"message", "type", "param", "code"}}`. What nobody foresaw is not told."""
    status = status_of(error)
    default = "api_error" if status >= 500 else "invalid_request_error"
    return {
        "error": {
            # What it quotes of a request may hold half surrogate pairs, which no UTF-8 can.
            "message": _message(error, status).encode("utf-8", "replace").decode(),
            "type": _KINDS.get(status, default),
            "param": error.param if isinstance(error, RequestError) else None,
            "code": _code(error),
        }
    }


def log_failure(error: Exception) -> None:
    """A line for what is the server's or an endpoint's own fault; a traceback for what nobody foresaw."""
    status = status_of(error)
    if status == 500:
        _LOG.error("unexpected %s", type(error).__name__, exc_info=error)
    elif status > 500:
        _LOG.warning("%s", error)


def _message(error: Exception, status: int) -> str:
    if isinstance(error, RequestError):
        return str(error)
    if isinstance(error, ModelError):
        return _of_model(error)
    if status == 500 or not isinstance(error, AivaxError):
        return "the server failed; see its log"
    if status == 503:
        return "the gateway is not in order at the moment; the server's log says why"
    if isinstance(error, ToolError):
        return "the gateway's tools cannot be had at the moment; the server's log says why"
    return _ADDRESS.sub("…", str(error))


def _of_model(error: ModelError) -> str:
    """An endpoint's own words, without its address; nothing of what is between it and this server."""
    if error.status is None:
        return "the model could not be reached, or its answer could not be read; the server's log says more"
    if error.status < 400 or error.status in (401, 402, 403, 404):
        return f"the model's endpoint refused this server (HTTP {error.status}); the server's log says why"
    return _ADDRESS.sub("…", _WHO.sub("the model's endpoint ", error.message))


def _code(error: Exception) -> str | None:
    match error:
        case RequestError():
            return error.code
        case NotFoundError():
            return "model_not_found"
        case BudgetError():
            return "insufficient_quota"
        case ContextError():
            return "context_length_exceeded"
        case ModelError(status=429):
            return "rate_limit_exceeded"
    return None
