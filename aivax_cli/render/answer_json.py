"""A whole turn as one JSON object, the form that scripts read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from aivax_cli.core.types import Purpose, TokenUsage, total_usd

if TYPE_CHECKING:
    from decimal import Decimal

    from aivax_cli.core.events import ContextCut, FellBack, TurnResult
    from aivax_cli.core.types import Charge, Passage, ToolRun


_ANSWERING = (Purpose.ANSWER, Purpose.STRUCTURED)
"""What models are called for to answer."""


def turn_object(result: TurnResult) -> dict[str, object]:
    """The turn as values that `json` can write.

    `usage` has the names of OpenAI's API and the meaning of AIVAX's: `prompt_tokens` holds the uncached
    input only, beside `prompt_tokens_details.cached_tokens`, and `total_tokens` is the sum of the three.
    It counts the answering calls; `generated_usage` lists every call. `total_usd` is null while any
    part is unpriced. `incomplete` is null, or why the answer ended early. `model` is the name that the
    endpoint gave itself, `model_ref` the same as the gateway writes it; `routed_complexity` is null without
    a router, and `structured` without a response schema. `left_out` counts what the context limit kept out
    of the last call, null when nothing.
    """
    return {
        "text": result.text,
        "structured": result.structured,
        "model": result.model,
        "model_ref": result.target or result.model,
        "routed_complexity": result.routed,
        "routing_problem": result.routing_problem or None,
        "fallbacks": [_fallback_object(fallback) for fallback in result.fallbacks],
        "finish_reason": result.finish_reason,
        "strategy": result.strategy,
        "search_terms": list(result.search_terms),
        "sources": [source_object(passage) for passage in result.passages],
        "usage": _usage_object(answer_usage(result.charges)),
        "generated_usage": [charge_object(charge) for charge in result.charges],
        "runned_functions": [run_object(run) for run in result.tools],
        "total_usd": _number(total_usd(result.charges)),
        "context_tokens": result.context_tokens,
        "left_out": _cut_object(result.cut),
        "incomplete": result.incomplete,
    }


def _cut_object(cut: ContextCut | None) -> dict[str, object] | None:
    return None if cut is None else {"messages": cut.messages, "tool_results": cut.tool_results}


def _fallback_object(fallback: FellBack) -> dict[str, object]:
    """A model that failed, why, and who was tried next; `sku` is the stem of what it was called for."""
    return {
        "model": fallback.model,
        "reason": fallback.reason,
        "next_model": fallback.next_model,
        "sku": str(fallback.purpose),
    }


def source_object(passage: Passage) -> dict[str, object]:
    """A passage and its place; `lines` is [first, last], `page` a number, each only where it is known.

    `meta` is what an imported document came with; `brought_along` says that another passage was found and
    this one came with it.
    """
    source = passage.source
    place: dict[str, object] = {}
    if source.first_line is not None:
        place["lines"] = [source.first_line, source.last_line or source.first_line]
    if source.page is not None:
        place["page"] = source.page
    if passage.meta:
        place["meta"] = dict(passage.meta)
    if passage.brought:
        place["brought_along"] = True
    return {
        "source": source.document,
        "heading": source.heading,
        "score": passage.score,
        "text": passage.text,
        "collection": source.collection,
        **place,
    }


def run_object(run: ToolRun) -> dict[str, object]:
    """A tool call and what came of it; `arguments` is the object that the model wrote, or its text if it is
    none."""
    try:
        arguments = json.loads(run.call.arguments)
    except (ValueError, RecursionError):
        arguments = run.call.arguments
    return {
        "name": run.call.name,
        "arguments": arguments,
        "result": run.outcome.text,
        "failed": run.outcome.failed,
        "duration_s": round(run.duration_s, 3),
    }


def charge_object(charge: Charge) -> dict[str, object]:
    """A usage record in the form of AIVAX's `generated_usage`; an unknown price is null."""
    record: dict[str, object] = {
        "sku": charge.sku,
        "amount": _number(charge.amount_usd),
        "unit_price": _number(charge.unit_price_usd),
        "quantity": charge.quantity,
        "description": charge.description,
    }
    return record | {"estimated": True} if charge.estimated else record


def answer_usage(charges: Sequence[Charge]) -> TokenUsage:
    """The tokens of the calls that answered, summed over the rounds of a turn, from their charges."""
    stems = tuple(f"{purpose}." for purpose in _ANSWERING)
    own = [charge for charge in charges if charge.sku.startswith(stems)]
    return TokenUsage(
        input_tokens=_sum(own, ".in"),
        cached_input_tokens=_sum(own, ".in.cached"),
        output_tokens=_sum(own, ".out"),
        estimated=any(charge.estimated for charge in own),
    )


def _sum(charges: Iterable[Charge], suffix: str) -> int:
    skus = [f"{purpose}{suffix}" for purpose in _ANSWERING]
    return sum(charge.quantity for charge in charges if charge.sku in skus)


def _usage_object(usage: TokenUsage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "estimated": usage.estimated,
    }


def _number(amount: Decimal | None) -> float | None:
    # The nearest float of a decimal is written back as that decimal, up to 15 digits.
    return None if amount is None else float(amount)
