"""Turns as chat completions: the whole answer, or chunks. Pure.

The shape is OpenAI's, with the hosted service's `generation_context`, and `citations` as an extension.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from aivax_cli.core.events import TurnResult
from aivax_cli.core.types import Charge, Passage, Purpose, TokenUsage, ToolRun

_ANSWERS = (Purpose.ANSWER, Purpose.STRUCTURED)


def completion(result: TurnResult, request_id: str, created: int) -> dict[str, object]:
    """The whole answer. `created` is in seconds since 1970."""
    message: dict[str, object] = {
        "role": "assistant",
        "content": result.text,
        "refusal": None,
        "annotations": [],
        "tool_calls": [],
    }
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": result.finish_reason or "stop",
    }
    return {
        "id": request_id,
        "object": "chat.completion",
        "created": created,
        "model": result.model,
        "choices": [choice],
        "usage": usage_object(result.charges),
        "service_tier": "default",
        "generation_context": context_object(result.charges, result.tools),
        "citations": [citation(passage) for passage in result.passages],
    }


def chunk(
    request_id: str,
    created: int,
    model: str,
    delta: Mapping[str, object],
    finish_reason: str | None = None,
) -> dict[str, object]:
    """One chunk of a stream."""
    choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": request_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": None,
    }


def usage_chunk(result: TurnResult, request_id: str, created: int) -> dict[str, object]:
    """The chunk after the last word, with what the turn took."""
    return {
        "id": request_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": result.model,
        "choices": [],
        "usage": usage_object(result.charges),
        "service_tier": "default",
        "generation_context": context_object(result.charges, result.tools),
        "citations": [citation(passage) for passage in result.passages],
    }


def usage_object(charges: Sequence[Charge]) -> dict[str, object]:
    """Tokens of the answering calls. `prompt_tokens` is uncached input alone, as in the hosted service."""
    usage = TokenUsage(_sum(charges, ".in"), _sum(charges, ".in.cached"), _sum(charges, ".out"))
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
    }


def context_object(charges: Sequence[Charge], tools: Sequence[ToolRun]) -> dict[str, object]:
    """What every call cost, and the functions that were run."""
    return {
        "generated_usage": [charge_object(charge) for charge in charges],
        "runned_functions": [
            {
                "name": run.call.name,
                "arguments": run.call.arguments,
                "result": run.outcome.text,
                "failed": run.outcome.failed,
            }
            for run in tools
        ],
    }


def charge_object(charge: Charge) -> dict[str, object]:
    """A usage record; an unknown price is null."""
    amount, price = charge.amount_usd, charge.unit_price_usd
    return {
        "sku": charge.sku,
        "amount": None if amount is None else float(amount),
        "unit_price": None if price is None else float(price),
        "quantity": charge.quantity,
        "description": charge.description,
    }


def citation(passage: Passage) -> dict[str, object]:
    """Where a passage stands; its number is the one that answers cite."""
    return {
        "number": passage.rank,
        "source": passage.source.document,
        "place": passage.source.place,
        "collection": passage.source.collection,
        "heading": passage.source.heading,
        "score": round(passage.score, 4),
    }


def event(value: Mapping[str, object]) -> bytes:
    """A server-sent event."""
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def end_marker(*, hosted: bool) -> bytes:
    """What ends a stream."""
    return b"data: [END]\n\n" if hosted else b"data: [DONE]\n\n"


def _sum(charges: Sequence[Charge], suffix: str) -> int:
    wanted = {f"{purpose}{suffix}" for purpose in _ANSWERS}
    return sum(charge.quantity for charge in charges if charge.sku in wanted)
