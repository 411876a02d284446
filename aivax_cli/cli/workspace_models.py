"""The models that a workspace's gateways call, for the commands that show or examine them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aivax_cli.core.errors import AivaxError

if TYPE_CHECKING:
    from aivax_cli.core.types import ModelTarget
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace


def sound_gateways(workspace: Workspace) -> list[LoadedGateway]:
    """The gateways that load; those with faults are left out."""
    loaded = []
    for file in workspace.gateway_files():
        try:
            loaded.append(workspace.load(file.name))
        except AivaxError:
            continue
    return loaded


def models_of(workspace: Workspace) -> tuple[tuple[ModelTarget, tuple[str, ...]], ...]:
    """Every model that the sound gateways call, also to rewrite or rerank, and the names of those gateways.

    A model that a gateway prices by itself is one of its own. Raises DefinitionError when `aivax.yaml` is
    wrong.
    """
    from aivax_cli.gateway.providers import resolve_model

    providers = workspace.providers()
    found: dict[ModelTarget, list[str]] = {}
    for gateway in sound_gateways(workspace):
        definition = gateway.definition
        called = [(definition.models[0], definition.pricing)]
        called += [(reference, None) for reference in definition.models[1:]]
        if definition.routing:
            routing = definition.routing
            levels = (routing.router, routing.low, routing.medium, routing.high)
            called += [(reference, None) for reference in levels if reference]
        called += [(reference, None) for reference in definition.rewrite.models]
        knowledge = definition.knowledge
        if knowledge and knowledge.reranker == "smart" and knowledge.rerank and knowledge.rerank.model:
            called.append((knowledge.rerank.model, knowledge.rerank.pricing))
        for reference, pricing in called:
            users = found.setdefault(resolve_model(reference, providers, pricing), [])
            if definition.name not in users:
                users.append(definition.name)
    ordered = sorted(found.items(), key=lambda each: each[0].label)
    return tuple((target, tuple(users)) for target, users in ordered)


def embedders_of(workspace: Workspace) -> tuple[ModelTarget, ...]:
    """The embedding models behind endpoints that the collections name; definitions with faults are left out.

    Raises DefinitionError when `aivax.yaml` is wrong.
    """
    from aivax_cli.gateway.providers import resolve_model

    providers = workspace.providers()
    found: dict[ModelTarget, None] = {}
    for file in workspace.collection_files():
        try:
            embedder = workspace.collection_definition(file.stem).embedder
            if not isinstance(embedder, str):
                found[resolve_model(embedder.model, providers)] = None
        except AivaxError:
            continue
    return tuple(found)
