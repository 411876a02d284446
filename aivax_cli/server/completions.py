"""Turns as chat completions: the whole answer, or chunks. Pure.

The shape is OpenAI's, with the hosted service's `generation_context`, and `citations` as an extension.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from aivax_cli.core.events import TurnResult
from aivax_cli.core.types import Charge, Passage, Purpose, TokenUsage, ToolCall
from aivax_cli.model.wire import encode
from aivax_cli.server.faults import RequestError

_ANSWERS = (Purpose.ANSWER, Purpose.STRUCTURED)
_IN, _CACHED, _OUT = (
    tuple(f"{purpose}{suffix}" for purpose in _ANSWERS) for suffix in (".in", ".in.cached", ".out")
)
_TEXT = "\0"


def finish_reason(result: TurnResult) -> str:
    """Why the answer ended, as the endpoint says. Raises RequestError (502) for an answer that is not whole:
    no reason is made up."""
    if result.tool_calls:
        return "tool_calls"
    if result.incomplete:
        raise RequestError(f"the answer is incomplete: {result.incomplete}", 502, code="incomplete")
    if not result.finish_reason:
        raise RequestError("the model ended its answer without a finish reason", 502, code="incomplete")
    return result.finish_reason


def completion(result: TurnResult, request_id: str, created: int) -> dict[str, Any]:
    """The whole answer. `created` is in seconds since 1970. Raises what `finish_reason` raises."""
    reason = finish_reason(result)
    message: dict[str, object] = {
        "role": "assistant",
        "content": result.text or (None if result.tool_calls else ""),
        "refusal": None,
        "annotations": [],
        "tool_calls": [call_object(call) for call in result.tool_calls],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return {
        "id": request_id,
        "object": "chat.completion",
        "created": created,
        "model": result.target or result.model,
        "choices": [choice],
        **_account(result),
    }


class Chunks(Struct, frozen=True):
    """The chunks of one stream. `hosted` is the dialect of the hosted service, whose last chunk has the
    usage and which ends with `[END]`."""

    request_id: str
    created: int
    model: str
    include_usage: bool = False
    hosted: bool = False

    def begin(self) -> bytes:
        """The chunk with the role."""
        return self._chunk({"role": "assistant", "content": ""})

    def frame(self) -> tuple[bytes, bytes]:
        """What stands before and after the JSON of a piece of text: most chunks differ in it alone."""
        before, _, after = self._chunk({"content": _TEXT}).partition(json.dumps(_TEXT).encode())
        return before, after

    def end(self, result: TurnResult) -> Iterator[bytes]:
        """The calls for the client, the finish reason, the usage, the end marker.

        Raises what `finish_reason` raises.
        """
        reason = finish_reason(result)
        if result.tool_calls:
            calls = [{"index": n, **call_object(call)} for n, call in enumerate(result.tool_calls)]
            yield self._chunk({"tool_calls": calls})
        account = _account(result)
        if self.hosted:
            yield self._chunk({}, reason, account)
            yield b"data: [END]\n\n"
            return
        yield self._chunk({}, reason)
        if self.include_usage:
            yield event({**self._head(), "choices": [], **account})
        yield b"data: [DONE]\n\n"

    def replay(self, answer: Mapping[str, Any]) -> Iterator[bytes]:
        """The stream of an answer that `completion` made."""
        choice = answer["choices"][0]
        message = choice["message"]
        yield self.begin()
        if message["content"]:
            yield self._chunk({"content": message["content"]})
        if message["tool_calls"]:
            calls = [{"index": n, **call} for n, call in enumerate(message["tool_calls"])]
            yield self._chunk({"tool_calls": calls})
        names = ("usage", "service_tier", "generation_context", "citations")
        account = {name: answer[name] for name in names}
        yield self._chunk({}, choice["finish_reason"], account if self.hosted else None)
        if self.include_usage and not self.hosted:
            yield event({**self._head(), "choices": [], **account})
        yield b"data: [END]\n\n" if self.hosted else b"data: [DONE]\n\n"

    def _head(self) -> dict[str, object]:
        return {
            "id": self.request_id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
        }

    def _chunk(
        self,
        delta: Mapping[str, object],
        reason: str | None = None,
        account: Mapping[str, object] | None = None,
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event({**self._head(), "choices": [choice], **(account or {"usage": None})})


def call_object(call: ToolCall) -> dict[str, object]:
    """A call that the client is to carry out."""
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def usage_object(charges: Sequence[Charge]) -> dict[str, object]:
    """Tokens of the answering calls. `prompt_tokens` is uncached input alone, as in the hosted service."""
    usage = TokenUsage(_sum(charges, _IN), _sum(charges, _CACHED), _sum(charges, _OUT))
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
    }


def context_object(result: TurnResult) -> dict[str, object]:
    """What every call cost, the functions that were run, and, as an extension, what was searched."""
    return {
        "generated_usage": [charge_object(charge) for charge in result.charges],
        "runned_functions": [
            {
                "name": run.call.name,
                "arguments": run.call.arguments,
                "result": run.outcome.text,
                "failed": run.outcome.failed,
            }
            for run in result.tools
        ],
        "search_terms": list(result.search_terms),
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
    return b"data: " + encode(value) + b"\n\n"


def _account(result: TurnResult) -> dict[str, object]:
    return {
        "usage": usage_object(result.charges),
        "service_tier": "default",
        "generation_context": context_object(result),
        "citations": [citation(passage) for passage in result.passages],
    }


def _sum(charges: Sequence[Charge], skus: Collection[str]) -> int:
    return sum(charge.quantity for charge in charges if charge.sku in skus)
