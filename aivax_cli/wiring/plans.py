"""A gateway's names resolved: which models, which instructions, which reranker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aivax_cli.core.types import ModelTarget
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace
    from aivax_cli.steps.plan import TurnPlan
    from aivax_cli.steps.reranking import RerankPlan


def plan_turn(gateway: LoadedGateway, workspace: Workspace) -> TurnPlan:
    """A gateway with its models found. Raises UsageError or NotFoundError when one is unknown."""
    from aivax_cli.steps.plan import TurnPlan

    definition = gateway.definition
    return TurnPlan(
        gateway=definition,
        instructions=_instructions(gateway, workspace),
        targets=_targets(gateway, workspace),
        rewriters=_rewriters(gateway, workspace),
        reranker=_reranker(gateway, workspace),
    )


def _instructions(gateway: LoadedGateway, workspace: Workspace) -> str | None:
    """The system message: the gateway's own, then what its collections have to say about themselves."""
    knowledge = gateway.definition.knowledge
    names = knowledge.collections if knowledge else []
    contexts = [workspace.collection_definition(name).context for name in names]
    parts = [part.strip() for part in (gateway.instructions, *contexts) if part and part.strip()]
    return "\n\n".join(parts) or None


def _targets(gateway: LoadedGateway, workspace: Workspace) -> tuple[ModelTarget, ...]:
    from aivax_cli.gateway.providers import resolve_models

    return resolve_models(gateway.definition, workspace.providers())


def _rewriters(gateway: LoadedGateway, workspace: Workspace) -> tuple[ModelTarget, ...]:
    """The pool; the gateway's own models where there is none."""
    from aivax_cli.gateway.providers import resolve_model

    providers = workspace.providers()
    pool = tuple(resolve_model(reference, providers) for reference in gateway.definition.rewrite.models)
    return pool or _targets(gateway, workspace)


def _reranker(gateway: LoadedGateway, workspace: Workspace) -> RerankPlan | None:
    """Who rescores passages, for `reranker: smart`; without a model of its own it is the rewriter."""
    from aivax_cli.gateway.knowledge import Rerank
    from aivax_cli.gateway.providers import resolve_model
    from aivax_cli.steps.reranking import RerankPlan

    knowledge = gateway.definition.knowledge
    if knowledge is None or knowledge.reranker != "smart":
        return None
    given = knowledge.rerank or Rerank()
    if given.model is None:
        target = _rewriters(gateway, workspace)[0]
    else:
        target = resolve_model(given.model, workspace.providers(), given.pricing)
    return RerankPlan(target, given.kind, given.timeout_s, given.candidates)
