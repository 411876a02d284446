"""A turn over plain stand-ins of its ports: what it tells, in which order, and what is left when it stops."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from aivax_cli.core.errors import AivaxError, BudgetError, KnowledgeError, ModelError, UsageError
from aivax_cli.core.events import (
    Charged,
    Event,
    Finished,
    Retrieved,
    Retrying,
    Rewritten,
    TextDelta,
    ToolCalled,
    TurnResult,
    Warned,
)
from aivax_cli.core.types import (
    Charge,
    EmbeddingUse,
    Message,
    ModelCall,
    ModelEnd,
    ModelItem,
    ModelRetry,
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
    ToolSpec,
)
from aivax_cli.gateway.definition import Gateway
from aivax_cli.steps.plan import Ports, Progress, TurnPlan
from aivax_cli.turn import run_turn, turn_result
from aivax_cli.usage.meter import Meter
from aivax_cli.usage.pricing import FREE

TARGET = ModelTarget(label="@test/m", provider="test", name="m", base_url="http://127.0.0.1/v1")
REWRITER = ModelTarget(label="@test/small", provider="test", name="small", base_url="http://127.0.0.1/v1")
END = ModelEnd("m", "stop", TokenUsage(10, 0, 5))


def end(**changes: Any) -> ModelEnd:
    return ModelEnd(**{"model": "m", "finish_reason": "stop", "usage": TokenUsage(10, 0, 5), **changes})


def search(*terms: str, call_id: str = "c1") -> ToolCall:
    return ToolCall(call_id, "search_knowledge", json.dumps({"search_terms": list(terms)}))


@dataclass
class Models:
    """Answers with its scripts in turn, the last one for good; errors are raised, events waited for."""

    scripts: list[list[ModelItem | AivaxError | asyncio.Event]]
    calls: list[ModelCall] = field(default_factory=list)

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelItem, None]:
        self.calls.append(call)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        for item in script:
            if isinstance(item, AivaxError):
                raise item
            if isinstance(item, asyncio.Event):
                await item.wait()
            else:
                yield item


@dataclass
class Library:
    """Finds a passage of its own for every search."""

    searched: list[tuple[str, ...]] = field(default_factory=list)

    async def ready(self) -> None:
        pass

    async def retrieve(self, terms: Sequence[str], limits: RetrievalLimits) -> Retrieval:
        self.searched.append(tuple(terms))
        number = len(self.searched)
        found = Passage(str(number), f"fact {number}", Source("kb", "a.md", "", number, number), 0.5, 1)
        return Retrieval((found,), (EmbeddingUse("embedder", 3, FREE),))


class Words:
    def count_text(self, text: str, model: str) -> int:
        return len(text.split())

    def count_messages(self, messages: Sequence[Message], model: str) -> int:
        return sum(len(message.content.split()) for message in messages)


class Unpriced:
    def prices(self, target: ModelTarget, served_model: str | None = None) -> Prices | None:
        return None

    def input_prices(self, target: ModelTarget) -> Prices | None:
        return None


class Book:
    def record(self, charges: Sequence[Charge], *, turn_id: str, gateway: str, model: str) -> None:
        pass


class Turn:
    """One turn with everything that can be seen of it."""

    def __init__(self, *scripts: list[ModelItem | AivaxError | asyncio.Event], **gateway: Any) -> None:
        self.models = Models(list(scripts))
        self.library = Library()
        self.meter = Meter(self.models, Unpriced(), Words(), Book(), turn_id="t", gateway="g")
        definition = Gateway(id="0199c3f0-0000-7000-8000-000000000001", name="g", model="@test/m", **gateway)
        self.plan = TurnPlan(definition, "Be brief.", (TARGET,), (REWRITER,))
        self.events: list[Event] = []

    def open(self) -> AsyncGenerator[Event, None]:
        self.progress = Progress(0.0, self.plan.targets)
        return run_turn(self.plan, (Message("user", "why?"),), self.ports, self.progress)

    @property
    def ports(self) -> Ports:
        return Ports(self.meter, Words(), self.library)

    def run(self) -> list[Event]:
        async def follow() -> None:
            async with aclosing(self.open()) as events:
                async for event in events:
                    self.events.append(event)

        asyncio.run(follow())
        return self.events

    def run_until(self, kind: type[Event]) -> None:
        """Reads until an event of this kind and stops there."""

        async def follow() -> None:
            async with aclosing(self.open()) as events:
                async for event in events:
                    if isinstance(event, kind):
                        return

        asyncio.run(follow())

    @property
    def result(self) -> TurnResult:
        last = self.events[-1]
        assert isinstance(last, Finished)
        return last.result

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def told_charges(self) -> list[Charge]:
        return [event.charge for event in self.told(Charged)]

    def skus(self) -> list[str]:
        return [charge.sku for charge in self.meter.charges]


def knowledge(strategy: str, **more: Any) -> dict[str, Any]:
    return {"collections": ["kb"], "strategy": strategy, **more}


REWRITING = [ModelText("what"), ModelText(" is it"), END]
ANSWER = [ModelText("Because"), ModelText("."), END]
CALLS_TOOL = [end(tool_calls=(search("a"),))]


def test_events_come_in_the_order_of_the_work() -> None:
    turn = Turn(REWRITING, ANSWER, knowledge=knowledge("UserRewrite"))
    kinds = [type(event) for event in turn.run()]
    assert kinds == [
        *(Charged, Charged, Rewritten),
        *(Charged, Retrieved),
        *(TextDelta, TextDelta, Charged, Charged),
        Finished,
    ]


def test_every_charge_is_told_once() -> None:
    turn = Turn(REWRITING, ANSWER, knowledge=knowledge("FullRewrite"))
    turn.run()
    told = [event.charge for event in turn.told(Charged)]
    assert told == list(turn.result.charges) == list(turn.meter.charges)
    assert turn.skus() == [
        "inference.resolving.query_rewrite.in",
        "inference.resolving.query_rewrite.out",
        "rag.embedding.query",
        "inference.chat_completions.in",
        "inference.chat_completions.out",
    ]


def test_charges_of_every_tool_round_are_told_once() -> None:
    turn = Turn(CALLS_TOOL, ANSWER, knowledge=knowledge("QueryFunction"))
    turn.run()
    assert [event.charge for event in turn.told(Charged)] == list(turn.meter.charges)
    assert turn.skus().count("inference.chat_completions.in") == 2


@pytest.mark.parametrize(
    ("stage", "kept"),
    [
        (Rewritten, ["inference.resolving.query_rewrite.in", "inference.resolving.query_rewrite.out"]),
        (Retrieved, ["rag.embedding.query"]),
        (TextDelta, ["inference.chat_completions.in", "inference.chat_completions.out"]),
    ],
)
def test_a_turn_that_is_closed_keeps_its_charges_so_far(stage: type[Event], kept: list[str]) -> None:
    turn = Turn(REWRITING, ANSWER, knowledge=knowledge("UserRewrite"))
    turn.run_until(stage)
    assert turn.skus()[-len(kept) :] == kept


def test_a_search_that_fails_keeps_what_was_embedded_before() -> None:
    class Failing(Library):
        async def retrieve(self, terms: Sequence[str], limits: RetrievalLimits) -> Retrieval:
            error = ModelError("boom", fix="mend it")
            error.spent = (EmbeddingUse("embedder", 3, FREE),)
            raise error

    turn = Turn(ANSWER, knowledge=knowledge("Plain"))
    turn.library = Failing()
    with pytest.raises(ModelError, match="the question could not be embedded: boom; mend it"):
        turn.run()
    assert turn.skus() == ["rag.embedding.query"]


@pytest.mark.parametrize("strategy", ["UserRewrite", "FullRewrite"])
def test_no_model_is_paid_before_a_search_that_must_fail(strategy: str) -> None:
    class Empty(Library):
        async def ready(self) -> None:
            raise KnowledgeError("nothing to search")

    turn = Turn(REWRITING, ANSWER, knowledge=knowledge(strategy))
    turn.library = Empty()
    with pytest.raises(KnowledgeError, match="nothing to search"):
        turn.run()
    assert turn.models.calls == []


def test_a_turn_that_fails_leaves_what_it_had_come_to() -> None:
    turn = Turn(REWRITING, [ModelError("boom")], knowledge=knowledge("UserRewrite"))
    with pytest.raises(ModelError, match="boom"):
        turn.run()
    so_far = turn_result(turn.plan, turn.ports, turn.progress)
    assert (so_far.strategy, so_far.search_terms) == ("UserRewrite", ("what is it",))
    assert [passage.text for passage in so_far.passages] == ["fact 1"]
    assert so_far.sent[-1] == Message("user", "why?")
    assert list(so_far.charges) == turn.told_charges()
    assert so_far.incomplete


def test_what_the_budget_refused_was_not_sent() -> None:
    turn = Turn([BudgetError("too dear")])
    with pytest.raises(BudgetError):
        turn.run()
    assert turn_result(turn.plan, turn.ports, turn.progress).sent == ()


def test_an_answer_that_is_stopped_is_charged_by_estimate() -> None:
    turn = Turn([ModelText("one two three"), asyncio.Event()])

    async def stop_while_waiting() -> None:
        events = turn.open()
        assert await anext(events) == TextDelta("one two three")
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await events.aclose()

    asyncio.run(stop_while_waiting())
    assert [(charge.quantity, charge.estimated) for charge in turn.meter.charges] == [(4, True), (4, True)]


def test_a_prefill_is_the_beginning_of_the_answer_once() -> None:
    turn = Turn([ModelText("b"), ModelText("c"), END], prefill="a")
    turn.run()
    assert [event.text for event in turn.told(TextDelta)] == ["ab", "c"]
    assert turn.models.calls[0].messages[-1] == Message("assistant", "a")


def test_an_endpoint_that_repeats_the_prefill_says_it_once() -> None:
    turn = Turn([ModelText("ab"), ModelText("c"), END], prefill="a")
    turn.plan = replace(turn.plan, targets=(replace(TARGET, base_url="https://api.mistral.ai/v1"),))
    turn.run()
    assert turn.result.text == "abc"


def test_a_prefill_stays_last_behind_the_tools_results() -> None:
    turn = Turn(CALLS_TOOL, ANSWER, knowledge=knowledge("QueryFunction"), prefill="Well: ")
    turn.run()
    assert turn.result.text == "Well: Because."
    roles = [message.role for message in turn.result.sent]
    assert roles == ["system", "user", "assistant", "tool", "assistant"]
    assert turn.result.sent[-1].content == "Well: "


def test_a_prefill_that_has_been_said_is_not_sent_again() -> None:
    asks = [ModelText("let me see."), end(tool_calls=(search("a"),))]
    turn = Turn(asks, ANSWER, knowledge=knowledge("QueryFunction"), prefill="Well: ")
    turn.run()
    assert turn.result.text == "Well: let me see.\n\nBecause."
    spoken = [message.content for message in turn.result.sent if message.role == "assistant"]
    assert spoken == ["Well: let me see."]


def test_after_the_last_round_the_model_has_to_answer() -> None:
    turn = Turn(CALLS_TOOL, knowledge=knowledge("QueryFunction", max_rounds=2))
    turn.run()
    assert [call.parameters.get("tool_choice") for call in turn.models.calls] == [None, None, "none"]
    assert len(turn.library.searched) == 2


def test_one_message_cannot_ask_for_any_number_of_searches() -> None:
    asks = [end(tool_calls=tuple(search(f"term {n}", call_id=f"c{n}") for n in range(100)))]
    turn = Turn(asks, ANSWER, knowledge=knowledge("QueryFunction"))
    turn.run()
    results = [message for message in turn.result.sent if message.role == "tool"]
    assert len(turn.library.searched) == 10
    assert [message.tool_call_id for message in results] == [f"c{n}" for n in range(100)]
    assert results[-1].content == "Not run: at most 10 calls at once; put them together."


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (ToolCall("c", "search_knowledge", "{no json"), "The search was not run: the arguments are not"),
        (ToolCall("c", "search_knowledge", "[" * 100_000), "The search was not run: the arguments are not"),
        (search("x" * 501), "The search was not run: search_terms may hold at most 500 characters"),
        (ToolCall("c", "rm" * 5000, "{}"), "There is no tool named 'rmrm"),
    ],
)
def test_the_model_is_told_what_was_wrong_with_its_call(call: ToolCall, said: str) -> None:
    turn = Turn([end(tool_calls=(call,))], ANSWER, knowledge=knowledge("QueryFunction"))
    turn.run()
    (told,) = turn.told(ToolCalled)
    assert told.run.outcome.text.startswith(said)
    assert len(told.run.outcome.text) < 200
    assert turn.library.searched == []


def test_an_empty_answer_is_warned_of() -> None:
    turn = Turn([END])
    turn.run()
    assert turn.told(Warned) == [Warned("@test/m returned an empty answer")]


@pytest.mark.parametrize(
    ("rewriting", "problem"),
    [
        ([ModelError("cannot reach it")], "rewriting failed (cannot reach it)"),
        ([ModelText(" "), END], "@test/small returned no search terms"),
        ([ModelText("what is the"), end(broken="lost")], "rewriting broke off (lost)"),
        ([ModelText("x\n" * 100_000), asyncio.Event()], "@test/small does not stop rewriting"),
    ],
)
def test_when_rewriting_fails_the_question_itself_is_searched(rewriting: list[Any], problem: str) -> None:
    turn = Turn(rewriting, ANSWER, knowledge=knowledge("FullRewrite"))
    turn.run()
    (chosen,) = turn.told(Rewritten)
    assert (chosen.search_terms.terms, chosen.search_terms.fallback) == (("why?",), problem)
    assert turn.library.searched == [("why?",)]
    assert turn.result.text == "Because."


def test_a_rewriting_that_takes_too_long_is_given_up() -> None:
    late = [asyncio.Event()]
    turn = Turn(late, ANSWER, knowledge=knowledge("UserRewrite"), rewrite={"timeout_s": 0.05})
    turn.run()
    (chosen,) = turn.told(Rewritten)
    assert chosen.search_terms.fallback == "@test/small took longer than 0.05 s to rewrite"


def test_retries_are_told_for_rewriting_and_answer() -> None:
    retry = ModelRetry(1, "busy", 0.5)
    turn = Turn([retry, *REWRITING], [retry, *ANSWER], knowledge=knowledge("UserRewrite"))
    turn.run()
    told = [(event.model, event.reason) for event in turn.told(Retrying)]
    assert told == [("@test/small", "busy"), ("@test/m", "busy")]


def test_an_answer_that_breaks_off_is_kept_as_incomplete() -> None:
    turn = Turn([ModelText("half"), end(broken="lost")])
    turn.run()
    assert (turn.result.text, turn.result.incomplete) == ("half", "lost")


def test_a_broken_answers_tool_calls_are_not_carried_out() -> None:
    turn = Turn([end(tool_calls=(search("a"),), broken="lost")], knowledge=knowledge("QueryFunction"))
    turn.run()
    assert (turn.library.searched, turn.result.incomplete) == ([], "lost")


def test_a_conversation_that_does_not_end_with_the_user_is_refused() -> None:
    turn = Turn(ANSWER)

    async def begin() -> None:
        await anext(run_turn(turn.plan, (Message("assistant", "hi"),), Ports(turn.meter, Words())))

    with pytest.raises(UsageError, match="must end with a message from the user"):
        asyncio.run(begin())


def test_purposes_tell_rewriting_and_answer_apart() -> None:
    turn = Turn(REWRITING, ANSWER, knowledge=knowledge("UserRewrite"))
    turn.run()
    assert [(call.purpose, call.target) for call in turn.models.calls] == [
        (Purpose.REWRITE, REWRITER),
        (Purpose.ANSWER, TARGET),
    ]


WEATHER = ToolSpec("weather", "", {"type": "object"})
ASKS_CLIENT = [
    ModelText("Let me look."),
    end(finish_reason="tool_calls", tool_calls=(ToolCall("w1", "weather", "{}"),)),
]


def of_client(turn: "Turn", **parameters: Any) -> "Turn":
    turn.plan = replace(turn.plan, client_tools=(WEATHER,), client_parameters=parameters)
    return turn


def test_a_call_of_the_clients_tool_ends_the_turn() -> None:
    turn = of_client(Turn(ASKS_CLIENT), tool_choice="required")
    turn.run()
    assert turn.result.tool_calls == (ToolCall("w1", "weather", "{}"),)
    assert turn.result.text == "Let me look."
    (call,) = turn.models.calls
    assert call.tools == (WEATHER,)
    assert call.parameters["tool_choice"] == "required"


def test_own_tools_are_carried_out_before_a_client_is_asked() -> None:
    turn = of_client(
        Turn(CALLS_TOOL, ASKS_CLIENT, knowledge=knowledge("QueryFunction")), tool_choice="required"
    )
    turn.run()
    assert [run.call.name for run in turn.result.tools] == ["search_knowledge"]
    assert [call.name for call in turn.result.tool_calls] == ["weather"]
    assert [call.parameters.get("tool_choice") for call in turn.models.calls] == ["required", None]


def test_of_calls_of_both_kinds_the_clients_alone_are_given_back() -> None:
    both = [end(tool_calls=(search("a"), ToolCall("w1", "weather", "{}")))]
    turn = of_client(Turn(both, knowledge=knowledge("QueryFunction")))
    turn.run()
    assert [call.name for call in turn.result.tool_calls] == ["weather"]
    assert turn.library.searched == []


def test_after_the_last_own_round_the_clients_tools_are_still_offered() -> None:
    turn = of_client(Turn(CALLS_TOOL, ANSWER, knowledge=knowledge("QueryFunction", max_rounds=1)))
    turn.run()
    assert [[tool.name for tool in call.tools] for call in turn.models.calls] == [
        ["search_knowledge", "weather"],
        ["weather"],
    ]
    assert turn.models.calls[-1].parameters.get("tool_choice") is None
