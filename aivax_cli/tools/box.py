"""A gateway's tools: offered to its model, checked, approved and carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from aivax_cli.core.errors import AivaxError, ToolError, UsageError
from aivax_cli.core.types import ToolCall, ToolOutcome, ToolSpec
from aivax_cli.gateway.sections import HttpTool, McpTools
from aivax_cli.tools.arguments import ArgumentCheck, read_arguments
from aivax_cli.tools.http_tool import HttpCaller, bearer_key, shown_address
from aivax_cli.tools.mcp_server import McpServer, ServerTool
from aivax_cli.tools.names import free_name
from aivax_cli.tools.offers import (
    MOST_TOOLS,
    Approval,
    ApprovalRequest,
    Approve,
    Offer,
    object_schema,
    shortened_description,
)

_RESERVED = "search_knowledge"
"""The search tool of QueryFunction."""


class GatewayTools:
    """The tools of one gateway. Implements `core.ports.ToolBox`; may be used by several turns at once.

    Nothing is started before the first `offers`, `specs` or `run`. `approve` asks a person, for tools with
    `confirm`; without it such calls are refused. `root` is the folder in which commands run. To be closed.
    """

    def __init__(
        self,
        tools: Sequence[McpTools | HttpTool],
        *,
        environ: Mapping[str, str],
        root: Path,
        approve: Approve | None = None,
    ) -> None:
        self._warnings: list[str] = []
        self._http = [tool for tool in tools if isinstance(tool, HttpTool)]
        self._servers = [
            McpServer(tool, environ, root, self._warnings.append)
            for tool in tools
            if isinstance(tool, McpTools)
        ]
        self._environ = environ
        self._approve = approve
        self._approved: set[str] = set()
        self._unchecked: set[str] = set()
        self._caller = HttpCaller()
        self._offers: dict[str, Offer] | None = None
        self._preparing = asyncio.Lock()
        self._asking = asyncio.Lock()

    async def offers(self) -> tuple[Offer, ...]:
        """The tools in the order of the gateway. Raises ToolError or KeyMissingError."""
        return tuple((await self._prepared()).values())

    async def specs(self) -> tuple[ToolSpec, ...]:
        """See `core.ports.ToolBox.specs`."""
        return tuple(offer.spec for offer in await self.offers())

    def warnings(self) -> tuple[str, ...]:
        """See `core.ports.ToolBox.warnings`."""
        told = tuple(self._warnings)
        self._warnings.clear()
        return told

    async def run(self, call: ToolCall) -> ToolOutcome:
        """See `core.ports.ToolBox.run`."""
        try:
            offer = (await self._prepared()).get(call.name)
        except AivaxError as error:
            return ToolOutcome(f"Not run: {error.message}.", True)
        if offer is None:
            return ToolOutcome(f"There is no tool named {call.name!r}.", True)
        try:
            arguments = read_arguments(call.arguments)
        except UsageError as error:
            return ToolOutcome(f"Not run: {error.message}.", True)
        faults = offer.check.faults(arguments)
        self._warn_of(offer.spec.name, offer.check)
        if faults:
            return ToolOutcome(f"Not run: the arguments do not fit the schema: {'; '.join(faults)}", True)
        refusal = await self._refusal(offer, call) if offer.settings.confirm else None
        return refusal or await offer.carry_out(arguments)

    async def aclose(self) -> None:
        """Ends every session and process. May be called again."""
        await asyncio.gather(*(server.aclose() for server in self._servers), self._caller.aclose())

    async def _refusal(self, offer: Offer, call: ToolCall) -> ToolOutcome | None:
        name = offer.spec.name
        async with self._asking:
            if name in self._approved:
                return None
            request = ApprovalRequest(name, offer.origin, call.arguments)
            answer = await self._approve(request) if self._approve else Approval.NOBODY
        match answer:
            case Approval.NOBODY:
                why = "a person has to approve this tool, and nobody can be asked"
            case Approval.NO:
                why = "the person at the terminal refused this call"
            case Approval.YES:
                return None
            case Approval.ALWAYS:
                self._approved.add(name)
                return None
        return ToolOutcome(f"Not run: {why}.", failed=True, refused=True)

    async def _prepared(self) -> dict[str, Offer]:
        async with self._preparing:
            if self._offers is None:
                self._offers = await self._prepare()
            return self._offers

    async def _prepare(self) -> dict[str, Offer]:
        offers: dict[str, Offer] = {}
        for endpoint in self._http:
            if endpoint.name in offers or endpoint.name == _RESERVED:
                why = "is the search's own" if endpoint.name == _RESERVED else "is used twice"
                raise ToolError(f"tools: the name '{endpoint.name}' {why}", fix="give the tool another name")
            offers[endpoint.name] = self._http_offer(endpoint)
        listed = await asyncio.gather(*(server.tools() for server in self._servers), return_exceptions=True)
        for server, found in zip(self._servers, listed, strict=True):
            if isinstance(found, BaseException):
                raise found
            for tool in found:
                name = free_name(tool.name, server.short_label, {*offers, _RESERVED})
                offers[name] = self._server_offer(server, tool, name)
        if len(offers) > MOST_TOOLS:
            raise ToolError(
                f"the gateway has {len(offers):,} tools, and models take {MOST_TOOLS}",
                fix="name those that it needs: only",
            )
        return offers

    def _http_offer(self, tool: HttpTool) -> Offer:
        key = bearer_key(tool.url, tool.api_key_env, f"the tool '{tool.name}'", self._environ)
        schema = object_schema(tool.parameters_schema)
        return Offer(
            ToolSpec(tool.name, shortened_description(tool.description), schema),
            tool.name,
            shown_address(tool.url),
            tool,
            partial(self._caller.call, tool, key),
            self._check(tool.name, schema),
        )

    def _server_offer(self, server: McpServer, tool: ServerTool, name: str) -> Offer:
        schema = object_schema(tool.schema)
        return Offer(
            ToolSpec(name, shortened_description(tool.description), schema),
            tool.name,
            server.label,
            server.settings,
            partial(server.call, tool.name),
            self._check(name, schema),
        )

    def _check(self, name: str, schema: Mapping[str, Any]) -> ArgumentCheck:
        check = ArgumentCheck(schema)
        self._warn_of(name, check)
        return check

    def _warn_of(self, name: str, check: ArgumentCheck) -> None:
        if check.problem and name not in self._unchecked:
            self._unchecked.add(name)
            self._warnings.append(
                f"the schema of the tool '{name}' cannot be used ({check.problem}): arguments go unchecked"
            )
