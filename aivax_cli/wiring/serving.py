"""A workspace behind the server: read once, watched, and swapped whole when its files change."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from aivax_cli.core.errors import AivaxError, NotFoundError, unknown_name
from aivax_cli.gateway.request_overrides import request_fields, request_tools, with_fields
from aivax_cli.gateway.workspace import LoadedGateway, Workspace
from aivax_cli.wiring.bookkeeping import Books, open_books
from aivax_cli.wiring.gateways import GatewayRuntime, open_workspace
from aivax_cli.wiring.plans import plan_turn

if TYPE_CHECKING:
    from pathlib import Path

    from aivax_cli.core.types import Charge, Conversation
    from aivax_cli.gateway.knowledge import Collection
    from aivax_cli.gateway.providers import Provider
    from aivax_cli.gateway.settings import WorkspaceSettings
    from aivax_cli.server.backend import GatewayInfo
    from aivax_cli.server.requests import ChatRequest
    from aivax_cli.steps.plan import TurnPlan
    from aivax_cli.usage.unwaiting import Bookkeeper
    from aivax_cli.wiring.gateways import OpenWorkspace

_LOG = logging.getLogger("aivax.server")
_LOOK_EVERY_S = 0.25
_MOST_CHANGED = 256
"""Gateways with a request's changes that are kept ready."""

Stamps = tuple[tuple[str, int, int], ...]


@asynccontextmanager
async def open_backend(
    workspace: Workspace,
    environ: Mapping[str, str] = os.environ,
    *,
    allow_direct: bool = False,
    watched: bool = True,
) -> AsyncIterator[WorkspaceBackend]:
    """The workspace's gateways, open for any number of requests at once.

    `allow_direct`: `@provider/name` is a model, too. `watched`: changed files are read. Raises
    DefinitionError when `aivax.yaml` is wrong.
    """
    from aivax_cli.model.aiohttp_sending import aiohttp_sender

    async with (
        open_workspace(workspace, environ=environ, sender=aiohttp_sender) as found,
        open_books(workspace, found) as (opened, books),
    ):
        backend = WorkspaceBackend(workspace, opened, books, allow_direct=allow_direct)
        watching = asyncio.create_task(backend.watch()) if watched else None
        try:
            yield backend
        finally:
            if watching is not None:
                watching.cancel()


class _Ready(Struct, frozen=True):
    """A gateway and what it comes to."""

    loaded: LoadedGateway
    plan: TurnPlan


class _Generation(Struct, frozen=True):
    """The gateways as their files were at one moment. `changed` fills up as requests change them."""

    opened: OpenWorkspace
    by_name: Mapping[str, _Ready]
    by_reference: Mapping[str, _Ready]
    image_hosts: tuple[str, ...] = ()
    changed: dict[tuple[str, str], _Ready] = field(default_factory=dict)


class _ReadOnce(Workspace, frozen=True):
    """A workspace whose settings and collections are read once."""

    kept: dict[str, Any] = field(default_factory=dict)

    def settings(self) -> WorkspaceSettings:
        found: WorkspaceSettings = self._once("settings", lambda: Workspace.settings(self))
        return found

    def providers(self) -> dict[str, Provider]:
        found: dict[str, Provider] = self._once("providers", lambda: Workspace.providers(self))
        return found

    def collection_definition(self, name: str) -> Collection:
        found: Collection = self._once(
            f"collection {name}", lambda: Workspace.collection_definition(self, name)
        )
        return found

    def _once(self, what: str, read: Any) -> Any:
        if what not in self.kept:
            self.kept[what] = read()
        return self.kept[what]


class WorkspaceBackend:
    """Implements `server.backend.Backend`."""

    def __init__(
        self,
        workspace: Workspace,
        opened: OpenWorkspace,
        books: Books,
        *,
        allow_direct: bool = False,
    ) -> None:
        self._workspace = workspace
        self._allow_direct = allow_direct
        self.books = books
        self.answers = books.answers
        self._seen = _stamps(workspace, ())
        _ReadOnce(workspace.root, workspace.start).providers()
        self._now = _read(workspace, opened, {})
        self._seen = _stamps(workspace, self._now.by_name.values())

    @property
    def workspace(self) -> Workspace:
        """The workspace as it was last read."""
        return self._now.opened.workspace

    @property
    def opened(self) -> OpenWorkspace:
        """What the gateways share: connections, prices, the ledger, the collections."""
        return self._now.opened

    @property
    def image_hosts(self) -> Sequence[str]:
        """See `server.backend.Backend.image_hosts`."""
        return self._now.image_hosts

    def gateways(self) -> Sequence[GatewayInfo]:
        """See `server.backend.Backend.gateways`."""
        from aivax_cli.server.backend import GatewayInfo

        found = []
        for name, ready in sorted(self._now.by_name.items()):
            given = ready.loaded.definition
            found.append(GatewayInfo(name, given.slug, given.id, given.description, _made(given.id)))
        return found

    def open(self, asked: ChatRequest) -> ServedGateway:
        """See `server.backend.Backend.open`."""
        now = self._now
        ready = self._found(asked.model)
        fields = request_fields(asked.body)
        if fields:
            ready = _changed(now, asked.model, ready, fields)
        plan = ready.plan
        tools = request_tools(ready.loaded.definition, asked.body)
        if tools:
            plan = replace(plan, client_tools=tools, client_parameters=asked.tool_parameters)
        noted = self.books.ledger.note
        on_turn = (lambda turn_id: noted(turn_id, asked.metadata)) if asked.metadata else None
        runtime = GatewayRuntime(ready.loaded, now.opened, plan, on_turn)
        return ServedGateway(runtime, plan, self.books.keeper)

    def loaded(self, name: str) -> LoadedGateway:
        """The definition of a gateway by name, id or slug. Raises NotFoundError."""
        return self._found(name).loaded

    async def load(self) -> None:
        """See `server.backend.Backend.load`. A collection that cannot be searched is told of."""
        from aivax_cli.core.types import RetrievalLimits

        now = self._now
        names: dict[str, None] = {}
        for ready in now.by_name.values():
            knowledge = ready.loaded.definition.knowledge
            names |= dict.fromkeys(knowledge.collections if knowledge else ())
        for name in names:
            try:
                if not isinstance(now.opened.workspace.collection_definition(name).embedder, str):
                    continue  # an endpoint's embedder has nothing to load, and would cost
                await asyncio.to_thread(now.opened.base.search, [name], ["ready"], RetrievalLimits())
            except AivaxError as error:
                _LOG.warning("collection %s cannot be searched: %s", name, error)

    async def watch(self) -> None:
        """Looks for changed files until it is cancelled. Files are read in a thread; requests read none."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await asyncio.to_thread(self._look)
            except OSError as error:
                _LOG.warning("the workspace's files cannot be read: %s", error.strerror or error)

    def _look(self) -> None:
        before = self._now
        seen = _stamps(self._workspace, before.by_name.values())
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._now = _read(self._workspace, before.opened, before.by_name)
        except AivaxError as error:
            _LOG.warning("everything stays as it was: %s", error)
            return
        self._seen = _stamps(self._workspace, self._now.by_name.values())
        _LOG.info("read %d gateways again", len(self._now.by_name))

    def _found(self, reference: str) -> _Ready:
        now = self._now
        ready = now.by_reference.get(reference)
        if ready is not None:
            return ready
        if not reference.startswith("@"):
            raise unknown_name("gateway", reference, now.by_name, otherwise="the workspace has none")
        if not self._allow_direct:
            raise NotFoundError(f"no gateway named '{reference}', and models are not called directly here")
        kept = now.changed.get((reference, ""))
        return kept or _kept(now, (reference, ""), _direct(now.opened.workspace, reference))


class ServedGateway(Struct, frozen=True):
    """Implements `server.backend.Turns`."""

    runtime: GatewayRuntime
    plan: TurnPlan
    keeper: Bookkeeper

    @property
    def name(self) -> str:
        """See `Turns.name`."""
        return self.plan.gateway.name

    @property
    def model(self) -> str:
        """See `Turns.model`."""
        return self.plan.targets[0].label

    @property
    def hosted_dialect(self) -> bool:
        """See `Turns.hosted_dialect`."""
        return self.plan.gateway.serve.dialect == "hosted"

    @property
    def charges(self) -> tuple[Charge, ...]:
        """See `Turns.charges`."""
        return self.runtime.charges

    async def settled(self, *, alone: bool = False) -> None:
        """See `Turns.settled`."""
        await self.keeper.settled(alone=alone)

    def turn(self, conversation: Conversation) -> Any:
        """See `Turns.turn`."""
        return self.runtime.turn(conversation)


def _read(workspace: Workspace, opened: OpenWorkspace, before: Mapping[str, _Ready]) -> _Generation:
    """A file with faults leaves its gateway as it was. Raises DefinitionError of `aivax.yaml`."""
    fresh = _ReadOnce(workspace.root, workspace.start)
    fresh.providers()
    known = {ready.loaded.file: ready for ready in before.values()}
    by_name: dict[str, _Ready] = {}
    for file in fresh.gateway_files():
        try:
            loaded = fresh.load(file.stem)
            ready = _Ready(loaded, plan_turn(loaded, fresh))
        except AivaxError as error:
            if file not in known:
                _LOG.warning("%s is left out: %s", file.name, error)
                continue
            _LOG.warning("%s stays as it was: %s", file.name, error)
            ready = known[file]
        name = ready.loaded.definition.name
        if name in by_name:
            _LOG.warning("%s is left out: %s has its name", file.name, by_name[name].loaded.file.name)
            continue
        by_name[name] = ready
    by_reference = {
        reference: ready
        for ready in by_name.values()
        for reference in (ready.loaded.definition.slug, ready.loaded.definition.id)
    }
    image_hosts = tuple(fresh.settings().serve.image_hosts)
    return _Generation(replace(opened, workspace=fresh), by_name, {**by_reference, **by_name}, image_hosts)


def _changed(now: _Generation, reference: str, ready: _Ready, fields: Mapping[str, object]) -> _Ready:
    """The gateway with a request's fields. Raises UsageError, which names no file of the workspace."""
    key = (reference, json.dumps(fields, sort_keys=True))
    if key in now.changed:
        return now.changed[key]
    loaded = ready.loaded.with_definition(with_fields(ready.loaded.definition, fields))
    return _kept(now, key, _Ready(loaded, plan_turn(loaded, now.opened.workspace)))


def _kept(now: _Generation, key: tuple[str, str], ready: _Ready) -> _Ready:
    if len(now.changed) >= _MOST_CHANGED:
        now.changed.pop(next(iter(now.changed)), None)
    now.changed[key] = ready
    return ready


def _direct(workspace: Workspace, reference: str) -> _Ready:
    """A gateway that is nothing but a model. Raises UsageError or NotFoundError."""
    from aivax_cli.gateway.definition import Gateway
    from aivax_cli.gateway.ids import new_id

    definition = Gateway.model_validate({"id": new_id(), "name": "direct", "model": reference})
    loaded = LoadedGateway(definition, workspace.gateways_dir / "direct.yaml", None)
    return _Ready(loaded, plan_turn(loaded, workspace))


def _stamps(workspace: Workspace, gateways: Any) -> Stamps:
    """What tells that a file of the workspace has changed."""
    files: set[Path] = {workspace.settings_file}
    for folder in (workspace.gateways_dir, workspace.collections_dir):
        if folder.is_dir():
            files.update(folder.iterdir())
    for ready in gateways:
        loaded: LoadedGateway = ready.loaded
        schema = loaded.definition.response_schema
        named = (loaded.folder_of("response_schema") / schema,) if isinstance(schema, str) else ()
        files.update((*loaded.bases, *named, *filter(None, (loaded.instructions_file,))))
    found = []
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            continue
        found.append((str(file), stat.st_mtime_ns, stat.st_size))
    return tuple(sorted(found))


def _made(identity: str) -> int:
    """When a gateway's id was made: a UUIDv7 begins with the milliseconds since 1970."""
    return int(identity.replace("-", "")[:12], 16) // 1000
