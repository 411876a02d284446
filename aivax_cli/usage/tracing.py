"""Turns as OpenTelemetry spans: one for the turn, and below it one for each call of a model or a tool.

    invoke_agent GATEWAY
    ├── chat MODEL                what is routed, rewritten, rescored and answered
    ├── retrieval COLLECTIONS
    │   └── embeddings MODEL
    └── execute_tool NAME

What was said is recorded only on request. Nothing here sends anything: the tracer comes from `otel_sdk`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec import Struct, field

from aivax_cli.core.errors import ModelError
from aivax_cli.core.events import Event, FellBack, Finished, Routed, ToolCalled, ToolCalling
from aivax_cli.core.ports import ChatModel, Retriever
from aivax_cli.core.types import (
    ModelCall,
    ModelEnd,
    ModelItem,
    ModelRetry,
    ModelText,
    Passage,
    Retrieval,
    RetrievalLimits,
    ToolRun,
    total_usd,
)
from aivax_cli.gateway.definition import Gateway
from aivax_cli.usage.genai import (
    Attributes,
    answered_content,
    call_attributes,
    end_attributes,
    sent_content,
)

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer


class Tracing(Struct, frozen=True):
    """Makes the spans of a program. `content`: what is said is recorded too. `close` sends what is left."""

    tracer: Tracer
    content: bool = False
    close: Callable[[], None] = lambda: None

    def turn(self, gateway: Gateway) -> TurnTrace:
        """The spans of one turn, which `TurnTrace.events` begins and ends."""
        return TurnTrace(self, gateway)


class TurnTrace(Struct):
    """One turn. Its parts wrap what the turn is given: each call becomes a span below the turn's."""

    tracing: Tracing
    gateway: Gateway
    parent: Context | None = None
    _tools: dict[str, Span] = field(default_factory=dict)

    def chat(self, model: ChatModel) -> ChatModel:
        return _TracedChat(model, self)

    def retriever(self, retriever: Retriever | None) -> Retriever | None:
        return retriever and _TracedRetriever(retriever, self)

    async def events(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The turn's events as they are."""
        from opentelemetry import trace

        root = self.span(
            f"invoke_agent {self.gateway.name}",
            {
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.provider.name": "aivax",
                "gen_ai.agent.name": self.gateway.name,
                "gen_ai.agent.id": self.gateway.id,
                "gen_ai.agent.description": self.gateway.description,
            },
        )
        self.parent = trace.set_span_in_context(root)
        try:
            async with aclosing(events) as following:
                async for event in following:
                    self._note(root, event)
                    yield event
        except Exception as error:
            failed(root, error)
            raise
        finally:
            for span in self._tools.values():
                span.end()
            root.end()

    def span(self, name: str, attributes: Attributes, *, outgoing: bool = False) -> Span:
        """A span below the turn's; the turn's own has no parent of ours."""
        from opentelemetry.trace import SpanKind

        kind = SpanKind.CLIENT if outgoing else SpanKind.INTERNAL
        known = {name: value for name, value in attributes.items() if value != ""}
        return self.tracing.tracer.start_span(name, context=self.parent, kind=kind, attributes=known)

    def _note(self, root: Span, event: Event) -> None:
        match event:
            case ToolCalling(call):
                attributes: Attributes = {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": call.name,
                    "gen_ai.tool.call.id": call.id,
                    "gen_ai.tool.type": "function",
                }
                if self.tracing.content:
                    attributes["gen_ai.tool.call.arguments"] = call.arguments
                self._tools[call.id] = self.span(f"execute_tool {call.name}", attributes)
            case ToolCalled(run):
                self._tool_done(run)
            case Routed(level, model):
                root.add_event("aivax.routed", {"level": level, "model": model})
            case FellBack():
                root.add_event("aivax.fell_back", {"model": event.model, "next_model": event.next_model})
            case Finished(result):
                end = ModelEnd(result.model, result.finish_reason, None, broken=result.incomplete)
                root.set_attributes(end_attributes(end) | {"aivax.search.strategy": result.strategy})
                usd = total_usd(result.charges)
                if usd is not None:
                    root.set_attribute("aivax.cost.usd", float(usd))
                if result.incomplete:
                    incomplete(root, result.incomplete)

    def _tool_done(self, run: ToolRun) -> None:
        span = self._tools.pop(run.call.id, None)
        if span is None:
            return
        if self.tracing.content:
            span.set_attribute("gen_ai.tool.call.result", run.outcome.text)
        if run.outcome.failed:
            _say_failed(span, "tool_error", run.outcome.text if self.tracing.content else "")
        span.end()


class _TracedChat(Struct, frozen=True):
    """Each call is a span. Implements `core.ports.ChatModel`."""

    inner: ChatModel
    trace: TurnTrace

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelItem, None]:
        attributes = call_attributes(call)
        content = self.trace.tracing.content
        if content:
            attributes |= sent_content(call)
        span = self.trace.span(f"chat {call.target.name}", attributes, outgoing=True)
        began = time.perf_counter()
        text: list[str] | None = None
        try:
            async with aclosing(self.inner.stream(call)) as items:
                async for item in items:
                    if isinstance(item, ModelText):
                        if text is None:
                            text = []
                            first = time.perf_counter() - began
                            span.set_attribute("gen_ai.response.time_to_first_chunk", first)
                        if content:
                            text.append(item.text)
                    else:
                        _note_item(span, item, "".join(text or ()) if content else None)
                    yield item
        except Exception as error:
            failed(span, error)
            raise
        finally:
            span.end()


def _note_item(span: Span, item: ModelItem, said: str | None) -> None:
    if isinstance(item, ModelRetry):
        span.add_event("aivax.retry", {"attempt": item.attempt, "wait_s": item.wait_s})
    elif isinstance(item, ModelEnd):
        span.set_attributes(end_attributes(item))
        if said is not None:
            span.set_attributes(answered_content(said, item))
        if item.broken:
            incomplete(span, item.broken)


class _TracedRetriever(Struct, frozen=True):
    """Each search is a span, and what it embeds is below it. Implements `core.ports.Retriever`."""

    inner: Retriever
    trace: TurnTrace

    async def ready(self) -> None:
        await self.inner.ready()

    async def retrieve(self, terms: Sequence[str], limits: RetrievalLimits) -> Retrieval:
        from opentelemetry import context
        from opentelemetry.trace import set_span_in_context

        knowledge = self.trace.gateway.knowledge
        names = ", ".join(knowledge.collections) if knowledge else ""
        attributes: Attributes = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": names}
        if self.trace.tracing.content:
            attributes["gen_ai.retrieval.query.text"] = "\n".join(terms)
        span = self.trace.span(f"retrieval {names}", attributes)
        token = context.attach(set_span_in_context(span, self.trace.parent))
        try:
            found = await self.inner.retrieve(terms, limits)
            span.set_attribute("aivax.retrieval.passages", len(found.passages))
            return found
        except Exception as error:
            failed(span, error)
            raise
        finally:
            context.detach(token)
            span.end()

    async def expanded(self, passages: Sequence[Passage], limits: RetrievalLimits) -> tuple[Passage, ...]:
        return await self.inner.expanded(passages, limits)


def failed(span: Span, error: Exception) -> None:
    """Marks what raised: `error.type` is an HTTP status, else the error's class. Errors hold no secret."""
    status = error.status if isinstance(error, ModelError) else None
    _say_failed(span, str(status) if status else type(error).__name__, str(error))


def incomplete(span: Span, reason: str) -> None:
    """Marks an answer that broke off."""
    _say_failed(span, "incomplete", reason)


def _say_failed(span: Span, kind: str, description: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, description))
