"""Who may use the server: the keys of requests, and web pages that are none of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from aivax_cli.core.errors import AivaxError
from aivax_cli.server.faults import RequestError, error_body, headers_of, log_failure, status_of
from aivax_cli.server.messages import message_error

if TYPE_CHECKING:
    from starlette.requests import Request

    from aivax_cli.server.keys import ApiKey, KeyFile
    from aivax_cli.server.knowledge import Visible

OPEN_PATHS: Final = frozenset({"/", "/healthz", "/readyz", "/favicon.ico"})
"""What needs no key: it tells nothing of the workspace."""
_MAKE_ONE: Final = "`aivax keys new NAME` makes one, which is sent as Authorization: Bearer or x-api-key"
_LONGEST_KEY: Final = 256


class AccessControl:
    """Lets requests through to the application: with a key, or without one where none is needed.

    None is needed while the server listens on this machine alone (`local`) and the workspace has no keys.
    Then pages of other sites, which a browser would let ask, are refused: by `Origin`, and by the name that
    they have this machine's address under. What there is for whoever asks is put into the
    request's state.
    """

    def __init__(
        self, app: Any, keys: KeyFile, visible_to: Callable[[ApiKey | None], Visible], *, local: bool
    ) -> None:
        self._app = app
        self._keys = keys
        self._visible_to = visible_to
        self._local = local

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            try:
                key = await self._admitted(scope)
            except AivaxError as error:
                await _refusal(scope["path"], error)(scope, receive, send)
                return
            # The owner is whose answers are kept under idempotency keys.
            owner = "" if key is None else key.id
            scope["state"] = {**scope.get("state", {}), "visible": self._visible_to(key), "owner": owner}
        await self._app(scope, receive, send)

    async def _admitted(self, scope: Any) -> ApiKey | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if self._local and not self._keys.has_keys():
            _refuse_other_sites(headers)
            return None
        text = given_key(headers)
        if not text:
            raise RequestError(f"a key is needed; {_MAKE_ONE}", 401, code="missing_api_key")
        key = self._keys.verified(text)
        if key is None:
            raise RequestError("the key is wrong, or was revoked", 401, code="invalid_api_key")
        if key.gateways and scope["path"] == "/metrics":
            raise RequestError("this key may not see what others ask", 403)
        if scope["method"] == "POST" and key.requests_per_minute is not None:
            wait_s = await asyncio.to_thread(self._keys.admit, key)
            if wait_s is not None:
                raise RequestError(
                    f"this key may ask {key.requests_per_minute:,} times a minute; wait {wait_s:.0f} s",
                    429,
                    code="rate_limit_exceeded",
                    retry_after_s=wait_s + 0.5,
                )
        return key


def visible_of(request: Request) -> Visible:
    """What of the workspace there is for whoever asks."""
    visible: Visible = request.scope["state"]["visible"]
    return visible


def given_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key that a request brings: `x-api-key`, or `Authorization: Bearer`."""
    found = dict(headers)
    own = found.get(b"x-api-key")
    if own is None:
        scheme, _, own = found.get(b"authorization", b"").strip().partition(b" ")
        if scheme.lower() != b"bearer":
            return None
    text = own.strip()
    return text.decode("latin-1") if 0 < len(text) <= _LONGEST_KEY else None


def is_local(host: str) -> bool:
    """Whether a host's name or address is this machine's loopback."""
    bare = host.strip("[]").lower().rstrip(".")
    if bare in ("localhost", "::1") or bare.endswith(".localhost"):
        return True
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return False


def _refuse_other_sites(headers: Iterable[tuple[bytes, bytes]]) -> None:
    found = dict(headers)
    host = found.get(b"host", b"").decode("latin-1")
    origin = found.get(b"origin")
    if host and not _leads_here(host):
        raise RequestError("without keys the server answers to this machine's own names alone", 403)
    if origin is not None and origin.decode("latin-1") != f"http://{host}":
        raise RequestError("without keys the server answers to no pages of other sites", 403)


@lru_cache(maxsize=16)
def _leads_here(host: str) -> bool:
    """Whether what a request calls this server is a name of this machine. Nearly all say the same."""
    try:
        return is_local(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _refusal(path: str, error: AivaxError) -> Any:
    from starlette.responses import JSONResponse

    log_failure(error)
    status, headers = status_of(error), headers_of(error)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    body = message_error(error) if path == "/v1/messages" else error_body(error)
    return JSONResponse(body, status, headers=headers)
