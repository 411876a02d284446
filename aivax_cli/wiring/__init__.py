"""The composition root: the one place that chooses adapters and hands them to a turn.

Heavy imports are inside the functions, so that a command loads what it needs and nothing else.
"""

from __future__ import annotations

from aivax_cli.wiring.adapters import asset_store, ledger, local_engine, model_file
from aivax_cli.wiring.gateways import GatewayRuntime, OpenWorkspace, open_gateway, open_workspace
from aivax_cli.wiring.knowledge import (
    built_in_embedder,
    collection_embedder,
    indexing_embedder,
    indexing_estimator,
    knowledge_base,
    vector_server,
)
from aivax_cli.wiring.plans import plan_turn

__all__ = [
    "GatewayRuntime",
    "OpenWorkspace",
    "asset_store",
    "built_in_embedder",
    "collection_embedder",
    "indexing_embedder",
    "indexing_estimator",
    "knowledge_base",
    "ledger",
    "local_engine",
    "model_file",
    "open_gateway",
    "open_workspace",
    "plan_turn",
    "vector_server",
]
