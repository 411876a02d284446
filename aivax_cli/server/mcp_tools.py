"""Gateways and collections as tools of an MCP server: `invoke_NAME` asks, `NAME_search` searches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from aivax_cli import __version__
from aivax_cli.core.errors import AivaxError
from aivax_cli.core.events import Finished, TurnResult
from aivax_cli.core.types import Message, Passage
from aivax_cli.server.completions import finish_reason
from aivax_cli.server.faults import RequestError, error_body, log_failure
from aivax_cli.server.requests import ChatRequest
from aivax_cli.strategy.terms import MAX_TERMS, MAX_TERMS_CHARACTERS
from aivax_cli.tools.names import LONGEST_NAME, function_name

if TYPE_CHECKING:
    from mcp import types
    from mcp.server.lowlevel import Server
    from starlette.routing import BaseRoute

    from aivax_cli.server.knowledge import Visible

_INVOKE, _SEARCH = "invoke_", "_search"
_LOG = logging.getLogger("aivax.server")


class OfferedTool(Struct, frozen=True):
    """A tool, and the gateway or the collection behind it."""

    name: str
    kind: Literal["gateway", "collection"]
    target: str
    description: str


def offered_tools(gateways: Sequence[tuple[str, str]], collections: Sequence[str]) -> list[OfferedTool]:
    """The tools of these gateways (name, description) and collections, each under a name of its own. Pure."""
    tools: list[OfferedTool] = []
    taken: set[str] = set()

    def add(prefix: str, name: str, suffix: str, kind: Literal["gateway", "collection"], about: str) -> None:
        room = LONGEST_NAME - len(prefix) - len(suffix)
        plain = function_name(name)[:room]
        candidate, number = f"{prefix}{plain}{suffix}", 2
        while candidate in taken:
            candidate = f"{prefix}{plain[: room - 4]}_{number}{suffix}"
            number += 1
        taken.add(candidate)
        tools.append(OfferedTool(candidate, kind, name, about))

    for name, description in gateways:
        add(_INVOKE, name, "", "gateway", description or f"Asks the gateway '{name}' and returns its answer.")
    for name in collections:
        about = f"Searches the documents of the collection '{name}' and returns the passages that fit best."
        add("", name, _SEARCH, "collection", about)
    return tools


def input_schema(tool: OfferedTool) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments."""
    if tool.kind == "gateway":
        about = "What is asked. The gateway knows nothing of the conversation so far."
        fields: dict[str, Any] = {"prompt": {"type": "string", "minLength": 1, "description": about}}
    else:
        about = (
            f"Questions or phrases to search for, at most {MAX_TERMS}, of {MAX_TERMS_CHARACTERS} characters"
            " in all. Several are a ranked union."
        )
        terms = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_TERMS}
        fields = {"search_terms": {**terms, "description": about}}
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def given_prompt(arguments: Mapping[str, Any]) -> str:
    """The prompt of a call. Raises RequestError."""
    prompt = arguments.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip() or set(arguments) != {"prompt"}:
        raise RequestError("give a prompt, a text that is not empty, and nothing else")
    return prompt


def given_terms(arguments: Mapping[str, Any]) -> list[str]:
    """The search terms of a call. Raises RequestError for more or longer ones than there may be."""
    terms = arguments.get("search_terms")
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
        raise RequestError("search_terms must be a list of texts")
    said = [term.strip() for term in terms if term.strip()]
    if not said or set(arguments) != {"search_terms"}:
        raise RequestError("give search_terms, at least one that is not empty, and nothing else")
    if len(terms) > MAX_TERMS or sum(map(len, terms)) > MAX_TERMS_CHARACTERS:
        raise RequestError(
            f"at most {MAX_TERMS} search_terms, of {MAX_TERMS_CHARACTERS} characters in all, at a time"
        )
    return said


def answer_texts(result: TurnResult) -> list[str]:
    """A turn's answer, then the sources that its numbers stand for."""
    if not result.passages:
        return [result.text]
    sources = "\n".join(f"[{passage.rank}] {passage.source.place}" for passage in result.passages)
    return [result.text, f"Sources:\n{sources}"]


def passages_text(passages: Sequence[Passage]) -> str:
    """Passages as a model reads them."""
    if not passages:
        return "Nothing was found."
    return "\n\n".join(
        f"[{passage.rank}] {passage.source.place} (score {passage.score:.2f})\n{passage.text}"
        for passage in passages
    )


def mcp_server(visible_to: Callable[[Any], Visible]) -> Server[Any]:
    """The server, by the official SDK. `visible_to` says what there is for a call,
    by the SDK's context."""
    from mcp import types
    from mcp.server.lowlevel import Server

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        del params
        tools = await _offered(visible_to(context))
        return types.ListToolsResult(
            tools=[
                types.Tool(name=tool.name, description=tool.description, input_schema=input_schema(tool))
                for tool in tools
            ]
        )

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            texts = await _called(visible_to(context), params.name, params.arguments or {})
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told of it as a tool's error
            log_failure(error)
            told: Any = error_body(error)
            return _result([told["error"]["message"]], failed=True)
        return _result(texts)

    return Server(
        "aivax",
        version=__version__,
        instructions="invoke_… asks a gateway, …_search searches documents.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _result(texts: Sequence[str], *, failed: bool = False) -> types.CallToolResult:
    from mcp import types

    content: list[Any] = [types.TextContent(type="text", text=text) for text in texts]
    return types.CallToolResult(content=content, is_error=failed)


async def _offered(visible: Visible) -> list[OfferedTool]:
    gateways = [(info.name, info.description) for info in visible.backend.gateways()]
    return offered_tools(gateways, await asyncio.to_thread(visible.knowledge.collections))


async def _called(visible: Visible, name: str, arguments: Mapping[str, Any]) -> list[str]:
    found = next((tool for tool in await _offered(visible) if tool.name == name), None)
    if found is None:
        raise RequestError(f"there is no tool '{name}'", 404)
    if found.kind == "collection":
        result = await visible.knowledge.search(found.target, given_terms(arguments))
        return [passages_text(result.passages)]
    return answer_texts(await _asked(visible, found.target, given_prompt(arguments)))


async def _asked(visible: Visible, gateway: str, prompt: str) -> TurnResult:
    asked = ChatRequest(
        model=gateway,
        conversation=(Message("user", prompt),),
        stream=False,
        include_usage=False,
        body={"model": gateway},
    )
    turns = visible.backend.open(asked)
    async with aclosing(turns.turn(asked.conversation)) as events:
        async for each in events:
            if isinstance(each, Finished):
                await turns.settled()
                finish_reason(each.result)
                return each.result
    raise AivaxError("the turn did not end")


LONGEST_BODY: Final = 4 * 1024 * 1024


class McpEndpoint:
    """`/mcp`: streamable HTTP without sessions, so that any worker may serve any request.

    An ASGI application. The SDK is loaded, and its task started, at the first request; `aclose` ends it.
    """

    def __init__(self, visible_of: Callable[[Any], Visible]) -> None:
        self._visible_of = visible_of
        self._manager: Any = None
        self._running: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._end = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI. Raises RequestError."""
        kind = dict(scope["headers"]).get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise RequestError("a message is sent as application/json", 415)
        async with self._starting:
            if self._manager is None:
                await self._start()
        await self._manager.handle_request(scope, receive, send)

    def routes(self) -> list[BaseRoute]:
        """The route, for the application's list."""
        from starlette.routing import Route

        # GET would be a stream that the server begins something on, and DELETE the end of a session.
        return [Route("/mcp", self, methods=["POST"])]

    async def aclose(self) -> None:
        """Ends what is under way."""
        self._end.set()
        if self._running is not None:
            await self._running

    async def _start(self) -> None:
        manager = await asyncio.to_thread(self._made)
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running = asyncio.create_task(self._run(manager, begun))
        await begun
        self._manager = manager

    def _made(self) -> Any:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        server = mcp_server(lambda context: self._visible_of(context.request))
        return StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=LONGEST_BODY)

    async def _run(self, manager: Any, begun: asyncio.Future[None]) -> None:
        async with manager.run():
            begun.set_result(None)
            await self._end.wait()


async def serve_stdio(visible: Visible) -> None:
    """Serves MCP over stdin and stdout until stdin ends."""
    from mcp.server.stdio import stdio_server

    server = mcp_server(lambda _: visible)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
