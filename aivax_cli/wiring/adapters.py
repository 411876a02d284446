"""What every part of a workspace is made with: downloads, the ledger, the local engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aivax_cli.wiring.late import Late

if TYPE_CHECKING:
    from pathlib import Path

    from aivax_cli.assets.store import AssetStore, Progress
    from aivax_cli.core.ports import Ledger, PriceBook
    from aivax_cli.gateway.workspace import Workspace
    from aivax_cli.model.local import LocalEngine
    from aivax_cli.usage.standings import LedgerPool


def asset_store(
    environ: Mapping[str, str] = os.environ, *, on_progress: Progress | None = None
) -> AssetStore:
    """The user's store of downloaded files."""
    from aivax_cli.assets.store import AssetStore

    return AssetStore.from_environment(environ, on_progress)


class LateStore(Late["AssetStore"]):
    """The user's store of downloaded files, opened when it is first needed. Most turns need none of them,
    and to open it is to find its folder and read pip's settings, which takes 10 ms."""

    def __init__(self, environ: Mapping[str, str], on_progress: Progress | None = None) -> None:
        super().__init__(lambda: asset_store(environ, on_progress=on_progress))

    def path(self, name: str) -> Path:
        """See `AssetStore.path`."""
        return self.get().path(name)


def ledger(workspace: Workspace) -> Ledger:
    """The workspace's ledger; its file is made at the first charge."""
    from aivax_cli.usage.ledger import SqliteLedger

    return SqliteLedger(workspace.state_dir / "ledger.db")


def model_pool(workspace: Workspace, prices: PriceBook) -> LedgerPool:
    """How the rewrite models of the workspace's gateways have done, kept in the ledger's file."""
    from aivax_cli.usage.ledger import LEDGER_FILE
    from aivax_cli.usage.ledger_file import LedgerFile
    from aivax_cli.usage.standings import LedgerPool

    # A turn waits for it, and does without when it is held for longer.
    return LedgerPool(LedgerFile(workspace.state_dir / LEDGER_FILE, busy_timeout_s=1.0), prices)


def model_file(store: AssetStore, name: str) -> Path:
    """The weights of `@local/name`, fetched if need be. Raises NotFoundError with the nearest model."""
    from aivax_cli.core.errors import unknown_name

    models = [asset.name for asset in store.assets() if asset.file_name.endswith(".gguf")]
    if name not in models:
        raise unknown_name("local model", name, models, otherwise="add one: aivax models pull FILE-OR-URL")
    return store.path(name)


def local_engine(store: LateStore, environ: Mapping[str, str] = os.environ) -> LocalEngine:
    """Runs `@local/…`; starts nothing before the first call. The caller closes it."""
    from aivax_cli.model.local import LocalEngine

    return LocalEngine(lambda name: model_file(store.get(), name), environ)
