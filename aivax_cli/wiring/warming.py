"""Loading what a gateway's first turn would otherwise wait for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from aivax_cli.core.errors import AivaxError
from aivax_cli.wiring.adapters import asset_store
from aivax_cli.wiring.plans import plan_turn

if TYPE_CHECKING:
    from aivax_cli.assets.store import AssetStore
    from aivax_cli.wiring.gateways import GatewayRuntime


def warm_up(runtime: GatewayRuntime) -> None:
    """Loads a gateway's local model, indexes and tokenizer; blocks until they are there.

    Nothing is fetched, sent or charged. What goes wrong is left to the turn that needs it.
    """
    store = asset_store(runtime.shared.environ)
    for load in (_local_model, _collections, _tokenizer):
        with suppress(AivaxError):
            load(runtime, store)


def _local_model(runtime: GatewayRuntime, store: AssetStore) -> None:
    from aivax_cli.model.client import HttpChatModel

    target = plan_turn(runtime.gateway, runtime.shared.workspace).answerers[0]
    chat = runtime.shared.chat
    if target.provider == "local" and store.present(target.name) and isinstance(chat, HttpChatModel):
        asyncio.run(chat.start(target))


def _tokenizer(runtime: GatewayRuntime, store: AssetStore) -> None:
    """The last, as nothing else runs for the tenth of a second that it takes."""
    from aivax_cli.model.tokens import encoding_name

    model = plan_turn(runtime.gateway, runtime.shared.workspace).answerers[0].label
    if store.present(encoding_name(model)):
        runtime.shared.counter.count_text("warm", model)


def _collections(runtime: GatewayRuntime, store: AssetStore) -> None:
    """One search, where that asks nobody: of collections that the built-in model has embedded."""
    from aivax_cli.core.types import RetrievalLimits
    from aivax_cli.retrieval.embedding.e5 import ASSET_NAME

    knowledge, workspace = runtime.gateway.definition.knowledge, runtime.shared.workspace
    if knowledge is None or not store.present(ASSET_NAME):
        return
    if runtime.shared.tracing is not None or workspace.settings().store is not None:
        return  # a search is told of, or asks a server
    names = [
        name
        for name in knowledge.collections
        if isinstance(workspace.collection_definition(name).embedder, str)
    ]
    if names:
        runtime.shared.base.search(names, ["warm"], RetrievalLimits())
