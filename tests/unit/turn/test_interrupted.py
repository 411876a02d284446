"""Ctrl-C in every stage of a turn: it ends at once, what is under way is let go of, charges are kept."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from aivax_cli.core.readings import RerankScores
from aivax_cli.core.types import (
    Charge,
    EmbeddingUse,
    Message,
    ModelCall,
    ModelEnd,
    ModelItem,
    ModelTarget,
    ModelText,
    Passage,
    Prices,
    Purpose,
    Retrieval,
    RetrievalLimits,
    Source,
    TokenUsage,
    ToolCall,
    ToolOutcome,
    ToolSpec,
)
from aivax_cli.gateway.definition import Gateway
from aivax_cli.steps.plan import Ports, RoutingPlan, TurnPlan
from aivax_cli.steps.reranking import RerankPlan
from aivax_cli.turn import run_turn
from aivax_cli.usage.meter import Meter
from aivax_cli.usage.pricing import FREE

TARGET = ModelTarget(label="@test/m", provider="test", name="m", base_url="http://127.0.0.1/v1")
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
SEARCH = {"knowledge": {"collections": ["kb"], "strategy": "UserRewrite"}}
RERANK = {"knowledge": {"collections": ["kb"], "reranker": "smart"}}
TOOLS = {"tools": [{"name": "look_up", "description": "Looks up.", "url": "http://127.0.0.1/tool"}]}
CALL = ToolCall("c1", "look_up", "{}")
SAID: Mapping[Purpose, str] = {
    Purpose.ROUTE: "high",
    Purpose.REWRITE: "terms",
    Purpose.RERANK: "[2, 1]",
    Purpose.ANSWER: "Because.",
    Purpose.STRUCTURED: json.dumps({"name": "Ana"}),
}


@dataclass
class World:
    """Everything outside of a turn. Whoever is asked for `at` falls silent, a model after `spoken`."""

    at: str
    spoken: str = ""
    waited_for: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: bool = False
    recorded: list[str] = field(default_factory=list)
    _calls: dict[Purpose, int] = field(default_factory=dict)

    async def reached(self, place: str) -> None:
        if place != self.at:
            return
        self.waited_for.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.let_go = True

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelItem, None]:
        number = self._calls[call.purpose] = self._calls.get(call.purpose, 0) + 1
        place = call.purpose.name.lower() + (" again" if number > 1 else "")
        if place == self.at and self.spoken:
            yield ModelText(self.spoken)
        await self.reached(place)
        if call.tools and number == 1:
            yield ModelEnd("m", "tool_calls", TokenUsage(10, 0, 5), (CALL,))
            return
        yield ModelText(SAID[call.purpose])
        yield ModelEnd("m", "stop", TokenUsage(10, 0, 5))

    async def ready(self) -> None:
        pass

    async def retrieve(self, terms: Sequence[str], limits: RetrievalLimits) -> Retrieval:
        await self.reached("retrieval")
        found = tuple(
            Passage(str(n), f"fact {n}", Source("kb", "a.md", "", n, n), 0.5, n, tokens=2) for n in (1, 2)
        )
        return Retrieval(found, (EmbeddingUse("embedder", 3, FREE),))

    async def expanded(self, passages: Sequence[Passage], limits: RetrievalLimits) -> tuple[Passage, ...]:
        return tuple(passages)

    async def scores(self, target: ModelTarget, question: str, texts: Sequence[str]) -> RerankScores:
        await self.reached("scores")
        return RerankScores((0.1, 0.2), 9)

    async def specs(self) -> tuple[ToolSpec, ...]:
        return (ToolSpec("look_up", "Looks up.", {"type": "object"}),)

    async def run(self, call: ToolCall) -> ToolOutcome:
        await self.reached("tool")
        return ToolOutcome("found")

    def warnings(self) -> tuple[str, ...]:
        return ()

    def record(self, charges: Sequence[Charge], *, turn_id: str, gateway: str, model: str) -> None:
        self.recorded += [f"{charge.sku}{' (estimated)' if charge.estimated else ''}" for charge in charges]

    def count_text(self, text: str, model: str) -> int:
        return len(text.split())

    def count_messages(self, messages: Sequence[Message], model: str) -> int:
        return sum(len(message.content.split()) for message in messages)

    def prices(self, target: ModelTarget, served_model: str | None = None) -> Prices | None:
        return None

    def input_prices(self, target: ModelTarget) -> Prices | None:
        return None


def interrupted(world: World, gateway: Mapping[str, Any], **plan: Any) -> None:
    """Runs a turn until the world falls silent, then cancels it as `asyncio.run` does at Ctrl-C."""
    definition = Gateway(id="0199c3f0-0000-7000-8000-000000000001", name="g", model="@test/m", **gateway)
    meter = Meter(world, world, world, world, turn_id="t", gateway="g")
    tools = world if definition.tools else None
    ports = Ports(meter, world, world, world, tools=tools)
    turn = TurnPlan(definition, None, (TARGET,), (TARGET,), **plan)

    async def follow() -> None:
        async with aclosing(run_turn(turn, (Message("user", "why?"),), ports)) as events:
            async for _ in events:
                pass

    async def main() -> None:
        task = asyncio.ensure_future(follow())
        async with asyncio.timeout(60):
            await world.waited_for.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())


ROUTING = RoutingPlan(TARGET, {"low": (TARGET,), "medium": (TARGET,), "high": (TARGET,)}, 60)
BY_CHAT = RerankPlan(TARGET, "chat", 60, 10)
BY_ENDPOINT = RerankPlan(TARGET, "endpoint", 60, 10)

ROUTED = ["inference.resolving.routing_complexity.in", "inference.resolving.routing_complexity.out"]
REWRITTEN = ["inference.resolving.query_rewrite.in", "inference.resolving.query_rewrite.out"]
EMBEDDED = ["rag.embedding.query"]
ANSWERED = ["inference.chat_completions.in", "inference.chat_completions.out"]


def out(sku: str) -> str:
    """A line for what was sent and never answered."""
    return f"{sku} (estimated)"


@pytest.mark.parametrize(
    ("at", "gateway", "plan", "kept"),
    [
        ("route", {}, {"routing": ROUTING}, [out(ROUTED[0])]),
        ("rewrite", SEARCH, {}, [out(REWRITTEN[0])]),
        ("retrieval", SEARCH, {}, REWRITTEN),
        ("rerank", RERANK, {"reranker": BY_CHAT}, [*EMBEDDED, out("rag.reranking.in")]),
        ("scores", RERANK, {"reranker": BY_ENDPOINT}, [*EMBEDDED, out("rag.reranking.in")]),
        ("answer", {}, {"routing": ROUTING}, [*ROUTED, out(ANSWERED[0])]),
        ("tool", TOOLS, {}, ANSWERED),
        ("answer again", TOOLS, {}, [*ANSWERED, out(ANSWERED[0])]),
        ("structured", {}, {"response_schema": SCHEMA}, [out("inference.functions.json.in")]),
    ],
)
def test_it_ends_at_once_and_keeps_its_charges(
    at: str, gateway: dict[str, Any], plan: dict[str, Any], kept: list[str]
) -> None:
    world = World(at)
    interrupted(world, gateway, **plan)
    assert world.let_go
    assert world.recorded == kept


@pytest.mark.parametrize(
    ("at", "gateway", "plan", "sku"),
    [
        ("rewrite", SEARCH, {}, "inference.resolving.query_rewrite"),
        ("answer", {}, {}, "inference.chat_completions"),
        ("structured", {}, {"response_schema": SCHEMA}, "inference.functions.json"),
    ],
)
def test_half_an_answer_is_charged_by_what_has_come(
    at: str, gateway: dict[str, Any], plan: dict[str, Any], sku: str
) -> None:
    world = World(at, spoken="half an")
    interrupted(world, gateway, **plan)
    assert world.recorded == [out(f"{sku}.in"), out(f"{sku}.out")]


def test_a_rewriting_that_is_under_way_beside_the_router_ends_too() -> None:
    world = World("rewrite")
    interrupted(world, SEARCH, routing=ROUTING)
    assert world.let_go
    assert sorted(world.recorded) == sorted([*ROUTED, out(REWRITTEN[0])])
