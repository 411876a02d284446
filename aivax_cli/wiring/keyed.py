"""The workspace as the holder of a key sees it: some gateways, and what the key may cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.core.errors import UsageError
from aivax_cli.server.faults import RequestError
from aivax_cli.usage.key_spending import KEY_METADATA, KeyDay, key_reservations, spent_today, used_up

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    from starlette.applications import Starlette

    from aivax_cli.gateway.workspace import Workspace
    from aivax_cli.server.backend import Answers, GatewayInfo, Turns
    from aivax_cli.server.keys import ApiKey, KeyFile
    from aivax_cli.server.knowledge import Visible
    from aivax_cli.server.requests import ChatRequest
    from aivax_cli.usage.guard import Day
    from aivax_cli.usage.ledger_file import LedgerFile
    from aivax_cli.wiring.served_knowledge import ServedKnowledge
    from aivax_cli.wiring.serving import ServedGateway, WorkspaceBackend


class Everything(Struct, frozen=True):
    """Implements `server.knowledge.Visible`: the whole workspace. `file` is that of the ledger."""

    backend: WorkspaceBackend
    knowledge: ServedKnowledge
    file: LedgerFile
    reservations: Day

    def for_key(self, key: ApiKey | None) -> Visible:
        """What there is for the holder of a key; all of it without one."""
        return self if key is None else Keyed(self, key)


class Keyed(Struct, frozen=True):
    """Implements `server.knowledge.Visible` for a key."""

    everything: Everything
    key: ApiKey

    @property
    def backend(self) -> KeyedBackend:
        """See `Visible.backend`."""
        return KeyedBackend(self.everything.backend, self.key, self.everything.reservations)

    @property
    def knowledge(self) -> ServedKnowledge:
        """See `Visible.knowledge`: the collections of the key's gateways."""
        names = self._collections() if self.key.gateways else None
        return self.everything.knowledge.restricted(names, {KEY_METADATA: self.key.id}, self._check_spending)

    def _collections(self) -> frozenset[str]:
        whole = self.everything.backend
        given = [whole.loaded(info.name).definition.knowledge for info in self.backend.gateways()]
        return frozenset(name for knowledge in given if knowledge for name in knowledge.collections)

    def _check_spending(self) -> None:
        limit = self.key.usd_per_day
        if limit is not None and (spent := spent_today(self.everything.file, self.key.id)) >= limit:
            raise used_up(limit, spent)


class KeyedBackend(Struct, frozen=True):
    """Implements `server.backend.Backend` for one key. Gateways of others are none of its business."""

    backend: WorkspaceBackend
    key: ApiKey
    reservations: Day

    @property
    def answers(self) -> Answers:
        """See `Backend.answers`."""
        return self.backend.answers

    @property
    def image_hosts(self) -> Sequence[str]:
        """See `Backend.image_hosts`."""
        return self.backend.image_hosts

    def gateways(self) -> Sequence[GatewayInfo]:
        """See `Backend.gateways`."""
        return [info for info in self.backend.gateways() if self.key.allows(info.name)]

    def open(self, asked: ChatRequest) -> Turns:
        """See `Backend.open`. Raises RequestError (403) for a gateway that is not the key's."""
        allowed = self.gateways()
        if self.key.gateways and not any(asked.model in (info.name, info.slug, info.id) for info in allowed):
            # The same for gateways that are there and such that are not: who may not use them is not told.
            names = ", ".join(info.name for info in allowed) or "none that is there"
            raise RequestError(f"this key may not use '{asked.model}'; it may use: {names}", 403)
        served = self.backend.open(replace(asked, metadata={**asked.metadata, KEY_METADATA: self.key.id}))
        limit = self.key.usd_per_day
        return served if limit is None else _held(served, self.key, limit, self.reservations)

    async def load(self) -> None:
        """See `Backend.load`."""
        await self.backend.load()


def key_file(workspace: Workspace) -> KeyFile:
    """The workspace's keys; the file is made with the first one."""
    from aivax_cli.server.keys import KEYS_FILE, KeyFile

    return KeyFile(workspace.state_dir / KEYS_FILE)


def require_keys(workspace: Workspace, host: str) -> None:
    """Raises UsageError when nobody has a key: other machines may not ask without one."""
    if not any(key.revoked is None for key in key_file(workspace).listed()):
        raise UsageError(
            f"{host} is open to other machines, and the workspace has no keys",
            fix="make one: aivax keys new NAME, or serve this machine alone: --host 127.0.0.1",
        )


@asynccontextmanager
async def open_everything(backend: WorkspaceBackend) -> AsyncIterator[Everything]:
    """The workspace behind the server with what is beside chat: knowledge, and the limits of keys."""
    from aivax_cli.usage.ledger import LEDGER_FILE, SqliteLedger
    from aivax_cli.usage.ledger_file import LedgerFile
    from aivax_cli.usage.unwaiting import UnwaitingDay
    from aivax_cli.wiring.served_knowledge import ServedKnowledge

    path = backend.workspace.state_dir / LEDGER_FILE
    file, ledger, quick = LedgerFile(path), SqliteLedger(path), LedgerFile(path, busy_timeout_s=0)
    try:
        day = UnwaitingDay(key_reservations(quick), key_reservations(file), backend.books.keeper)
        yield Everything(backend, ServedKnowledge(backend.opened, ledger), file, day)
    finally:
        await asyncio.to_thread(backend.books.keeper.close)
        file.close()
        quick.close()
        ledger.close()


@asynccontextmanager
async def open_application(
    backend: WorkspaceBackend, *, local: bool, on_ready: Callable[[], None], meeting: Path | None = None
) -> AsyncIterator[Starlette]:
    """The whole server. `local`: it listens on this machine alone, and needs no keys while there are none.

    `meeting` is the socket under which a worker finds the others, for their counters.
    """
    from starlette.middleware import Middleware

    from aivax_cli.server.access import AccessControl, visible_of
    from aivax_cli.server.adapters import adapter_routes
    from aivax_cli.server.app import application
    from aivax_cli.server.images import ImageFetcher
    from aivax_cli.server.mcp_tools import McpEndpoint
    from aivax_cli.server.playground import Playground
    from aivax_cli.server.sharing import Siblings

    keys = key_file(backend.workspace)
    mcp, images = McpEndpoint(visible_of), ImageFetcher()
    try:
        async with open_everything(backend) as everything:
            control = Middleware(AccessControl, keys=keys, visible_to=everything.for_key, local=local)
            more = [*adapter_routes(), *mcp.routes(), *Playground.load().routes()]
            app = application(backend, on_ready=on_ready, more_routes=more, middleware=[control])
            app.state.images = images
            async with AsyncExitStack() as stack:
                if meeting is not None:
                    app.state.siblings = Siblings(app.state.metrics, meeting)
                    stack.push_async_callback(app.state.siblings.aclose)
                    await app.state.siblings.listen()
                yield app
    finally:
        await images.aclose()
        await mcp.aclose()
        keys.close()


def _held(served: ServedGateway, key: ApiKey, limit: Decimal, reservations: Day) -> ServedGateway:
    """The gateway with the key's day beside its own budget: every call needs room in both."""
    from aivax_cli.gateway.sections import Budget

    runtime = served.runtime
    budget = runtime.gateway.definition.budget or Budget()
    has_day = budget.usd_per_day is not None
    day = KeyDay(key.id, limit, reservations, runtime.shared.day, gateway_has_limit=has_day)
    if not has_day:
        budget = budget.model_copy(update={"usd_per_day": limit})
    definition = runtime.gateway.definition.model_copy(update={"budget": budget})
    plan = replace(served.plan, gateway=definition)
    loaded = replace(runtime.gateway, definition=definition)
    shared = replace(runtime.shared, day=day)
    return replace(served, runtime=replace(runtime, gateway=loaded, shared=shared, plan=plan), plan=plan)
