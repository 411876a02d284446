"""Functions that an HTTP endpoint carries out: the hosted service's protocol functions.

Format of the request: `docs.aivax.net`, "Protocol functions". The answer is text of any kind, and goes to the
model as it is; the model never sees the address.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aivax_cli.core.errors import AivaxError, ToolError
from aivax_cli.core.types import ModelTarget, ToolOutcome
from aivax_cli.gateway.secrets import redact
from aivax_cli.gateway.sections import HttpTool
from aivax_cli.model.keys import resolve_key
from aivax_cli.model.outgoing import is_loopback, opened
from aivax_cli.tools.results import cut, masked, one_line

if TYPE_CHECKING:
    import httpx

_LONGEST_REASON = 300
_BYTES_PER_CHARACTER = 4
_TEXTUAL = ("text/", "json", "xml", "yaml", "javascript", "csv", "x-www-form-urlencoded")
_CALL_SOURCE = "ChatCompletionsApi"
"""The one of the hosted service's names for where a call comes from that fits."""


def bearer_key(url: str, variable: str | None, owner: str, environ: Mapping[str, str]) -> str | None:
    """The key to send to an address, None when it needs none.

    Raises KeyMissingError when it is not there, ToolError when it would cross a network in the clear.
    """
    if variable is None:
        return None
    if url.lower().startswith("http://") and not is_loopback(url):
        raise ToolError(
            f"{owner}: a key is not sent over http://, where everybody on the way can read it",
            fix="use https://, or leave out api_key_env",
        )
    target = ModelTarget(label=owner, provider="", name="", base_url=url, api_key_env=variable)
    return resolve_key(target, environ)


def shown_address(url: str) -> str:
    """An address without user, password, query and fragment."""
    parts = urlsplit(url)
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


class HttpCaller:
    """Posts calls. One for all the endpoints of a gateway, so that connections are kept."""

    def __init__(self) -> None:
        self._clients: dict[bool, httpx.AsyncClient] = {}
        self._stack = AsyncExitStack()

    async def aclose(self) -> None:
        """Ends what is under way."""
        await self._stack.aclose()
        self._clients.clear()

    async def call(self, tool: HttpTool, key: str | None, arguments: Mapping[str, Any]) -> ToolOutcome:
        """Carries a call out, once: what it does may not be done twice. Raises nothing but cancellation."""
        import httpx

        secrets = [key] if key else []
        most = tool.max_result_chars
        try:
            async with asyncio.timeout(tool.timeout_s):
                status, kind, text = await self._posted(tool, arguments, key)
        except TimeoutError:
            return ToolOutcome(f"{tool.name} did not answer within {tool.timeout_s:g} s.", True)
        except httpx.HTTPError as error:
            return ToolOutcome(f"{tool.name} could not be reached: {_reason(error)}.", True)
        except (httpx.InvalidURL, AivaxError) as error:
            reason = error.message if isinstance(error, AivaxError) else "its address is not valid"
            return ToolOutcome(f"{tool.name} could not be reached: {reason}.", True)
        if not 200 <= status < 300:
            said = redact(masked(one_line(text, _LONGEST_REASON), secrets))
            if 300 <= status < 400:
                said = "it redirects elsewhere, which is not followed"
            return ToolOutcome(f"{tool.name} failed (HTTP {status}){f': {said}' if said else ''}", True)
        if text and kind and not any(word in kind for word in _TEXTUAL):
            return ToolOutcome(f"[{kind}: not text, not shown]")
        return ToolOutcome(cut(masked(text, secrets), most))

    async def _posted(
        self, tool: HttpTool, arguments: Mapping[str, Any], key: str | None
    ) -> tuple[int, str, str]:
        """The status, the type of the content, and as much of the content as is of use."""
        headers = {"content-type": "application/json", "accept": "text/plain, application/json, */*"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        content = json.dumps(request_body(tool.name, arguments), ensure_ascii=False).encode()
        client = await self._client(tool.url)
        async with client.stream("POST", tool.url, content=content, headers=headers) as response:
            most = tool.max_result_chars * _BYTES_PER_CHARACTER + 1
            data = b""
            async for piece in response.aiter_bytes():
                data += piece
                if len(data) >= most:
                    break
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            return response.status_code, kind, _decoded(data[:most], response.charset_encoding)

    async def _client(self, url: str) -> httpx.AsyncClient:
        import httpx

        local = is_loopback(url)
        if local not in self._clients:
            client = opened(
                lambda: httpx.AsyncClient(timeout=None, trust_env=not local, follow_redirects=False)
            )
            self._clients[local] = await self._stack.enter_async_context(client)
        return self._clients[local]


def request_body(name: str, arguments: Mapping[str, Any]) -> dict[str, object]:
    """What is posted for a call, in the hosted service's form."""
    return {
        "type": "tool_call",
        "function": {"name": name, "content": dict(arguments)},
        "context": {
            "externalUserId": None,
            "metadata": {},
            "callSource": _CALL_SOURCE,
            "conversationToken": None,
            "moment": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    }


def _decoded(data: bytes, charset: str | None) -> str:
    try:
        return data.decode(charset or "utf-8", "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def _reason(error: Exception) -> str:
    import httpx

    match error:
        case httpx.ConnectError():
            return "no connection"
        case httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
            return "its address is not valid"
    return "the connection was lost"
