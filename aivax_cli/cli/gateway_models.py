"""Which models a gateway calls, and in which order: what `aivax gateways show` says of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aivax_cli.core.types import ModelTarget
    from aivax_cli.steps.plan import TurnPlan


def models_record(plan: TurnPlan) -> dict[str, Any]:
    """The endpoints as values that `json` can write; `routing` is null without a router."""
    first, *others = plan.targets
    routing = plan.routing
    return {
        "endpoint": _endpoint(first),
        "fallbacks": [_endpoint(target) for target in others],
        "routing": routing
        and {
            "router": _endpoint(routing.router),
            **{level: [_endpoint(target) for target in tried] for level, tried in routing.levels.items()},
        },
        "rewriters": [_endpoint(target) for target in plan.rewriters],
    }


def model_lines(plan: TurnPlan) -> Iterator[str]:
    """The same in lines for a person."""
    first, *others = plan.targets
    yield f"endpoint: {_line(first)}"
    for target in others:
        yield f"if that fails: {target.label}, {_line(target)}"
    if plan.routing is not None:
        yield f"routed by: {plan.routing.router.label}, {_line(plan.routing.router)}"
        for level, tried in plan.routing.levels.items():
            yield f"  {level}: {', then '.join(target.label for target in tried)}"
    if len(plan.gateway.rewrite.models) > 1:
        names = ", ".join(target.label for target in plan.rewriters)
        yield f"rewriting: one of {names}; see aivax models --pool {plan.gateway.name}"


def _endpoint(target: ModelTarget) -> dict[str, Any]:
    return {
        "model_ref": target.label,
        "model": target.name,
        "base_url": target.base_url or None,
        "api_key_env": target.api_key_env,
        "api_key_command": target.api_key_command,
        "free": target.free,
    }


def _line(target: ModelTarget) -> str:
    if not target.base_url:
        return f"{target.name}, the embedded engine"
    if target.api_key_command:
        key = f"key from the command {target.api_key_command[0]}"
    else:
        key = f"key from {target.api_key_env}" if target.api_key_env else "no key"
    return f"{target.base_url}, {key}"
