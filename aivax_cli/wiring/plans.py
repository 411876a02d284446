"""A gateway's names resolved: which models, which instructions, which reranker."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aivax_cli.core.types import JsonValue, Level, ModelTarget
    from aivax_cli.gateway.basics import InlineModel
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace
    from aivax_cli.steps.plan import RoutingPlan, TurnPlan
    from aivax_cli.steps.reranking import RerankPlan


def plan_turn(gateway: LoadedGateway, workspace: Workspace) -> TurnPlan:
    """A gateway with its models found. Raises UsageError or NotFoundError when one is unknown."""
    from aivax_cli.steps.plan import TurnPlan

    definition = gateway.definition
    plan = TurnPlan(
        gateway=definition,
        instructions=instructions(gateway, workspace),
        targets=_targets(gateway, workspace),
        rewriters=_rewriters(gateway, workspace),
        reranker=_reranker(gateway, workspace),
        routing=_routing(gateway, workspace),
        response_schema=_response_schema(gateway, workspace),
    )
    return _with_prefill(plan) if definition.prefill else plan


def _with_prefill(plan: TurnPlan) -> TurnPlan:
    """The plan with every answering model where it continues a prefill. Raises UsageError for one that does
    nowhere."""
    from msgspec.structs import replace

    from aivax_cli.gateway.prefills import refuse_prefill, where_continued

    levels = plan.routing.levels if plan.routing else {}
    refuse_prefill([*plan.targets, *(target for each in levels.values() for target in each)])
    routing = plan.routing and replace(
        plan.routing, levels={level: tuple(map(where_continued, each)) for level, each in levels.items()}
    )
    return replace(plan, targets=tuple(map(where_continued, plan.targets)), routing=routing)


def _response_schema(gateway: LoadedGateway, workspace: Workspace) -> dict[str, JsonValue] | None:
    from aivax_cli.core.errors import UsageError
    from aivax_cli.gateway.response_schema import resolved_schema

    given = gateway.definition.response_schema
    if given is None:
        return None
    try:
        return resolved_schema(given, gateway.folder_of("response_schema"), workspace.root)
    except UsageError as error:
        raise UsageError(f"response_schema: {error.message}", fix=error.fix) from error


def instructions(gateway: LoadedGateway, workspace: Workspace, remote: Sequence[str] = ()) -> str | None:
    """The system message: the gateway's own, then what it has from elsewhere, then what its collections have
    to say about themselves."""
    knowledge = gateway.definition.knowledge
    names = knowledge.collections if knowledge else []
    contexts = [workspace.collection_definition(name).context for name in names]
    parts = [part.strip() for part in (gateway.instructions, *remote, *contexts) if part and part.strip()]
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


def _routing(gateway: LoadedGateway, workspace: Workspace) -> RoutingPlan | None:
    """Who judges, and who answers at each level: its own model, then the gateway's as its fallbacks."""
    from aivax_cli.gateway.providers import resolve_model
    from aivax_cli.steps.plan import RoutingPlan

    given = gateway.definition.routing
    if given is None:
        return None
    providers = workspace.providers()
    own = _targets(gateway, workspace)
    levels: dict[Level, tuple[ModelTarget, ...]] = {}
    named: dict[Level, str | InlineModel | None] = {
        "low": given.low,
        "medium": given.medium,
        "high": given.high,
    }
    for level, reference in named.items():
        chosen = resolve_model(reference, providers) if reference else own[0]
        # The gateway's own entry for the same model knows the gateway's own price.
        first = next((target for target in own if _same(target, chosen)), chosen)
        levels[level] = (first, *(target for target in own if target is not first))
    return RoutingPlan(resolve_model(given.router, providers), levels, given.timeout_s)


def _same(one: ModelTarget, other: ModelTarget) -> bool:
    """Whether two references lead to the same model, whatever price they name."""
    return (one.provider, one.name, one.base_url) == (other.provider, other.name, other.base_url)


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
