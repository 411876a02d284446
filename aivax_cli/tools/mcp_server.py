"""One MCP server: started or reached when its tools are first wanted, and ended with the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from aivax_cli import __version__
from aivax_cli.core.errors import AivaxError, ToolError, unknown_name
from aivax_cli.core.types import ToolOutcome
from aivax_cli.gateway.secrets import redact
from aivax_cli.gateway.sections import McpTools
from aivax_cli.model.exchange_log import watched
from aivax_cli.model.outgoing import is_loopback
from aivax_cli.tools.http_tool import bearer_key, shown_address
from aivax_cli.tools.link import Link, is_gone, load_sdk, reason
from aivax_cli.tools.offers import MOST_TOOLS
from aivax_cli.tools.results import cut, masked, mcp_text, one_line
from aivax_cli.tools.stderr import LastLines

if TYPE_CHECKING:
    import httpx2
    from mcp import Client

_PASSED = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that a command sees beside those that the SDK passes on: PATH, HOME, SHELL, TERM, USER, …"""
_MOST_PAGES = 100
_LARGEST_EVENT = 16 * 1024 * 1024
_SHORTEST_SECRET = 6
"""Values shorter than this are no keys, and stand in texts by chance."""
_PATIENCE_S = {"address": 2.0, "command": 8.0}
"""How long closing may take. The SDK gives a process two seconds to leave, then ends it by force."""
_LAST_WORDS_S = 0.1
_LONGEST_LABEL = 120
_REFUSED = 400
_LONGEST_FIX = 300


class ServerTool(Struct, frozen=True):
    """A tool as its server lists it."""

    name: str
    description: str
    schema: Mapping[str, Any]


class McpServer:
    """The server that one entry of a gateway's `tools` names.

    `root` is the folder a command runs in; `warn` takes what a person should know, a line each.
    """

    def __init__(
        self, settings: McpTools, environ: Mapping[str, str], root: Path, warn: Callable[[str], None]
    ) -> None:
        self.settings = settings
        self._warn = warn
        self._environ = environ
        self._root = root
        self._link: Link | None = None
        self._stderr = LastLines()
        self._status = 0
        self._opening = asyncio.Lock()

    @property
    def label(self) -> str:
        """What the server is called in messages: its address, or its command's words."""
        mcp = self.settings.mcp
        return shown_address(mcp) if isinstance(mcp, str) else one_line(redact(" ".join(mcp)), _LONGEST_LABEL)

    @property
    def short_label(self) -> str:
        """A word for it: the host, or the first word of the command that says what is run."""
        mcp = self.settings.mcp
        if isinstance(mcp, str):
            return shown_address(mcp).partition("//")[2].partition("/")[0].partition(":")[0]
        said = [word for word in mcp[1:] if not word.startswith("-")] or mcp
        return Path(said[0]).stem

    async def tools(self) -> tuple[ServerTool, ...]:
        """What the server offers, of that what `only` names. Raises ToolError or KeyMissingError."""
        link = await self._linked()
        limit_s = self.settings.timeout_s
        try:
            async with asyncio.timeout(limit_s):
                found = await link.guarded(self._listed)
        except TimeoutError as error:
            raise await self._error(f"did not list its tools within {limit_s:g} s", _LONGER) from error
        except ToolError:
            raise
        except Exception as error:
            raise await self._error(f"did not list its tools: {reason(error)}") from error
        return self._chosen(found)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> ToolOutcome:
        """Carries a call out, once. A server that has ended is started again for it.

        Raises nothing but cancellation.
        """
        limit_s = self.settings.timeout_s
        link = None
        try:
            link = await self._linked()
            async with asyncio.timeout(limit_s):
                result = await link.guarded(lambda client: client.call_tool(name, dict(arguments)))
        except TimeoutError:
            return ToolOutcome(f"{name} did not answer within {limit_s:g} s.", True)
        except AivaxError as error:
            return ToolOutcome(f"{name} cannot be called: {self._masked(error.message)}.", True)
        except Exception as error:  # noqa: BLE001 - whatever a server answers, or the SDK makes of it
            if link is not None and is_gone(error):
                await link.close()
                self._warn((await self._error("ended during a call")).message)
            return ToolOutcome(f"{name} failed: {self._masked(reason(error))}", True)
        text = self._masked(mcp_text(result.content, result.structured_content))
        return ToolOutcome(cut(text, self.settings.max_result_chars), failed=bool(result.is_error))

    async def aclose(self) -> None:
        """Ends the session, and the process with all its children."""
        if self._link is not None:
            await self._link.close()

    async def _linked(self) -> Link:
        async with self._opening:
            if self._link is None or self._link.ended:
                self._link = Link(_PATIENCE_S["address" if isinstance(self.settings.mcp, str) else "command"])
                try:
                    await self._open(self._link)
                except BaseException:
                    await self._link.close()
                    raise
            return self._link

    async def _open(self, link: Link) -> None:
        context = self._client()
        await asyncio.to_thread(load_sdk)
        limit_s = self.settings.timeout_s
        try:
            async with asyncio.timeout(limit_s):
                await link.open(context)
        except TimeoutError as error:
            raise await self._error(f"did not answer within {limit_s:g} s", _LONGER) from error
        except AivaxError:
            raise
        except OSError as error:
            why = "there is no such command" if isinstance(error, FileNotFoundError) else error.strerror
            raise ToolError(
                f"the tool server '{self.label}' cannot be started: {why}",
                fix="install it, or write its whole path",
            ) from error
        except Exception as error:
            raise await self._error(f"cannot be used: {reason(error)}") from error

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        from mcp import Client
        from mcp.types import Implementation

        async with AsyncExitStack() as stack:
            transport = await self._transport(stack)
            client = Client(transport, client_info=Implementation(name="aivax", version=__version__))
            yield await stack.enter_async_context(client)

    async def _transport(self, stack: AsyncExitStack) -> AbstractAsyncContextManager[Any]:
        mcp = self.settings.mcp
        if not isinstance(mcp, str):
            from mcp import StdioServerParameters, stdio_client

            env = self._env()
            command = StdioServerParameters(command=mcp[0], args=list(mcp[1:]), env=env, cwd=self._root)
            return stdio_client(command, errlog=stack.enter_context(self._stderr.writer()))
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        key = bearer_key(mcp, self.settings.api_key_env, f"the tool server {self.label}", self._environ)
        web = watched(
            httpx2.AsyncClient(
                headers={"authorization": f"Bearer {key}"} if key else {},
                timeout=httpx2.Timeout(None, connect=self.settings.timeout_s),
                event_hooks={"response": [self._noted]},
                trust_env=not is_loopback(mcp),
            )
        )
        await stack.enter_async_context(web)
        return streamable_http_client(mcp, http_client=web, max_sse_event_size=_LARGEST_EVENT)

    async def _noted(self, response: httpx2.Response) -> None:
        """Remembers how the last message was received: the SDK does not tell."""
        if response.request.method == "POST":
            self._status = response.status_code

    def _env(self) -> dict[str, str]:
        passed = {name: self._environ[name] for name in _PASSED if name in self._environ}
        for name in self.settings.env:
            if name not in self._environ:
                raise ToolError(
                    f"the tool server '{self.label}' needs the environment variable {name}, which is not set",
                    fix=f"set it: export {name}=…",
                )
            passed[name] = self._environ[name]
        return passed

    async def _listed(self, client: Client) -> list[ServerTool]:
        """Every page of the server's list."""
        found: dict[str, ServerTool] = {}
        cursor = None
        for _ in range(_MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            for tool in page.tools:
                description = tool.description or tool.title or ""
                found.setdefault(tool.name, ServerTool(tool.name, description, tool.input_schema))
            cursor = page.next_cursor
            if not cursor:
                return list(found.values())
        raise ToolError(
            f"the tool server '{self.label}' lists tools without end ({_MOST_PAGES} pages and more)"
        )

    def _chosen(self, found: Sequence[ServerTool]) -> tuple[ServerTool, ...]:
        only = self.settings.only
        if only is not None:
            names = {tool.name for tool in found}
            for name in only:
                if name not in names:
                    unknown = unknown_name("tool", name, names, otherwise="it offers none")
                    fix = one_line(unknown.fix or "", _LONGEST_FIX)
                    raise ToolError(f"{unknown.message} at the tool server '{self.label}'", fix=fix)
            return tuple(tool for tool in found if tool.name in only)
        if len(found) > MOST_TOOLS:
            raise ToolError(
                f"the tool server '{self.label}' offers {len(found):,} tools, and models take {MOST_TOOLS}",
                fix="name those that the gateway needs: only",
            )
        return tuple(found)

    def _masked(self, text: str) -> str:
        """The text without the values that the server got from us."""
        variables = (*self.settings.env, *filter(None, (self.settings.api_key_env,)))
        values = (self._environ.get(name, "").strip() for name in variables)
        return masked(text, [value for value in values if len(value) >= _SHORTEST_SECRET])

    async def _error(self, problem: str, fix: str | None = None) -> ToolError:
        """The error with what the server last said on stderr, which may yet be on its way."""
        await asyncio.sleep(_LAST_WORDS_S)
        words = redact(self._masked(self._stderr.text))
        said = f"; its last words: {words}" if words else ""
        if self._status >= _REFUSED:
            said = f" (HTTP {self._status})"
            variable = self.settings.api_key_env
            if self._status in (401, 403):
                fix = (
                    f"check the key in {variable}"
                    if variable
                    else "name the variable of its key: api_key_env"
                )
        return ToolError(f"the tool server '{self.label}' {self._masked(problem)}{said}", fix=fix)


_LONGER = "give it longer: timeout_s"
