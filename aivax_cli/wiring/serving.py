"""A workspace behind the server: gateways are read again when a file changes, and kept while one is wrong."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aivax_cli.wiring.gateways import open_workspace

if TYPE_CHECKING:
    from aivax_cli.core.types import ToolSpec
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace
    from aivax_cli.server.backend import GatewayInfo
    from aivax_cli.wiring.gateways import GatewayRuntime, OpenWorkspace

_LOG = logging.getLogger("aivax.server")


@asynccontextmanager
async def open_backend(
    workspace: Workspace, environ: Mapping[str, str] = os.environ
) -> AsyncIterator[WorkspaceBackend]:
    """The workspace's gateways, open for any number of requests at once."""
    async with open_workspace(workspace, environ=environ) as opened:
        yield WorkspaceBackend(workspace, opened)


class WorkspaceBackend:
    """Implements `server.backend.Backend`."""

    def __init__(self, workspace: Workspace, opened: OpenWorkspace) -> None:
        self._workspace = workspace
        self._opened = opened
        self._gateways: dict[str, LoadedGateway] = {}
        self._seen: tuple[tuple[str, int, int], ...] = ()

    def gateways(self) -> Sequence[GatewayInfo]:
        """See `server.backend.Backend.gateways`."""
        from aivax_cli.server.backend import GatewayInfo

        return [
            GatewayInfo(
                name,
                loaded.definition.slug,
                loaded.definition.id,
                loaded.definition.description,
                _made(loaded),
            )
            for name, loaded in sorted(self._current().items())
        ]

    def open(self, reference: str, fields: Mapping[str, object], tools: Sequence[ToolSpec]) -> GatewayRuntime:
        """See `server.backend.Backend.open`."""
        del tools
        loaded = self._named(reference)
        if fields:
            loaded = loaded.with_request(fields)
        return self._opened.gateway(loaded)

    def _named(self, reference: str) -> LoadedGateway:
        from aivax_cli.core.errors import unknown_name

        current = self._current()
        for name, loaded in current.items():
            if reference in (name, loaded.definition.slug, loaded.definition.id):
                return loaded
        raise unknown_name("gateway", reference, current, otherwise="the workspace has none")

    def _current(self) -> dict[str, LoadedGateway]:
        """The gateways as their files are; a file with faults leaves its gateway as it was, and is told."""
        seen = self._stamps()
        if seen != self._seen:
            self._seen = seen
            self._gateways = self._read()
        return self._gateways

    def _stamps(self) -> tuple[tuple[str, int, int], ...]:
        folders = (self._workspace.root / "gateways", self._workspace.root / "collections")
        files = [file for folder in folders if folder.is_dir() for file in folder.iterdir() if file.is_file()]
        files += [file for file in (self._workspace.settings_file,) if file.exists()]
        stats = ((str(file), file.stat()) for file in sorted(files))
        return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)

    def _read(self) -> dict[str, LoadedGateway]:
        from aivax_cli.core.errors import AivaxError

        kept: dict[str, LoadedGateway] = {}
        before = {loaded.file: loaded for loaded in self._gateways.values()}
        for file in self._workspace.gateway_files():
            try:
                loaded = self._workspace.load(file.stem)
            except AivaxError as error:
                if file not in before:
                    _LOG.warning("%s is left out: %s", file.name, error)
                    continue
                _LOG.warning("%s stays as it was: %s", file.name, error)
                loaded = before[file]
            kept[loaded.definition.name] = loaded
        return kept


def _made(loaded: LoadedGateway) -> int:
    """When the gateway's id was made: a UUIDv7 begins with the milliseconds since 1970."""
    return int(loaded.definition.id.replace("-", "")[:12], 16) // 1000
