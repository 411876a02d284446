"""Calls a model in a loop of its own and hands back what the stream held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from aivax_cli.core.types import Message as ChatMessage
from aivax_cli.core.types import (
    ModelCall,
    ModelEnd,
    ModelRetry,
    ModelTarget,
    ModelText,
    Purpose,
    ToolSpec,
)
from aivax_cli.model.client import HttpChatModel, Timeouts
from aivax_cli.model.retry import RetryPolicy
from aivax_cli.model.sending import Sender

QUICK = RetryPolicy(wait_initial_s=0.01, wait_jitter_s=0.0)
ONCE = RetryPolicy(attempts=1)


@dataclass(frozen=True, slots=True)
class Collected:
    """A stream's items by kind."""

    text: str
    pieces: tuple[str, ...]
    retries: tuple[ModelRetry, ...]
    end: ModelEnd


def target(base_url: str, **changes: Any) -> ModelTarget:
    """A model without a key at an address."""
    fields: dict[str, Any] = {"label": "@test/m", "provider": "test", "name": "m", "base_url": base_url}
    return ModelTarget(**{**fields, **changes})


def call(
    model: ModelTarget,
    *messages: ChatMessage,
    parameters: Mapping[str, Any] | None = None,
    tools: tuple[ToolSpec, ...] = (),
) -> ModelCall:
    """A call for an answer; the user says hello unless messages are given."""
    conversation = messages or (ChatMessage("user", "hello"),)
    return ModelCall(Purpose.ANSWER, model, conversation, parameters or {}, tools)


async def collect(model: HttpChatModel, what: ModelCall) -> Collected:
    """Reads a stream to its end; checks that the end is the last item and the only one of its kind."""
    items = []
    async with aclosing(model.stream(what)) as stream:
        async for item in stream:
            items.append(item)
    *before, end = items
    assert isinstance(end, ModelEnd)
    assert not any(isinstance(item, ModelEnd) for item in before)
    pieces = tuple(item.text for item in before if isinstance(item, ModelText))
    retries = tuple(item for item in before if isinstance(item, ModelRetry))
    return Collected("".join(pieces), pieces, retries, end)


def ask(
    base_url: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    tools: tuple[ToolSpec, ...] = (),
    environ: Mapping[str, str] | None = None,
    retry: RetryPolicy = QUICK,
    timeouts: Timeouts | None = None,
    sender: Callable[..., Sender] | None = None,
    **target_fields: Any,
) -> Collected:
    """One call through a client of its own."""

    async def run() -> Collected:
        async with HttpChatModel(environ or {}, retry=retry, timeouts=timeouts, sender=sender) as model:
            wanted = call(target(base_url, **target_fields), parameters=parameters, tools=tools)
            return await collect(model, wanted)

    return asyncio.run(run())
