"""What of a conversation is sent when it is longer than the limit."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from aivax_cli.core.errors import ContextError
from aivax_cli.core.types import TOKENS_PER_IMAGE, Conversation, Image, Message, Passage, Source, ToolCall
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.sections import Context
from aivax_cli.prompt.assembly import assemble
from aivax_cli.prompt.context import LEFT_OUT, Anatomy, anatomy, fit, rough_tokens

WORD = "abcdefghi "


def words(count: int) -> str:
    return WORD * count


def count(messages: Sequence[Message]) -> int:
    """One token a word, three around all of them."""
    return 3 + sum(len(message.content.split()) for message in messages)


def user(number: int) -> Message:
    return Message("user", words(number))


def assistant(number: int) -> Message:
    return Message("assistant", words(number))


def calling(*ids: str) -> Message:
    return Message("assistant", "", tool_calls=tuple(ToolCall(each, "f", "{}") for each in ids))


def result(call_id: str, number: int) -> Message:
    return Message("tool", words(number), tool_call_id=call_id)


SYSTEM = Message("system", words(5))


def cut(messages: Conversation, head: int, question: int, **limits: Any) -> Conversation:
    return fit(messages, Anatomy(head, question), Context(**limits), count).messages


def test_what_fits_is_sent_as_it_is() -> None:
    messages = (SYSTEM, user(10), assistant(10), user(10))
    fitted = fit(messages, Anatomy(1, 3), Context(max_tokens=38), count)
    assert (fitted.messages, fitted.tokens, fitted.messages_out) == (messages, 38, 0)


def test_the_oldest_question_goes_first_with_its_answer() -> None:
    messages = (SYSTEM, user(11), assistant(12), user(13), assistant(14), user(10))
    fitted = fit(messages, Anatomy(1, 5), Context(max_tokens=45), count)
    assert fitted.messages == (SYSTEM, user(13), assistant(14), user(10))
    assert (fitted.tokens, fitted.messages_out) == (45, 2)


def test_system_messages_in_the_middle_stay() -> None:
    rule = Message("system", words(7))
    messages = (user(50), rule, assistant(50), user(10))
    assert cut(messages, 0, 3, max_tokens=30) == (rule, user(10))


def test_a_greeting_before_the_first_question_goes_alone() -> None:
    messages = (assistant(50), user(11), assistant(12), user(10))
    assert cut(messages, 0, 3, max_tokens=40) == messages[1:]


def test_tool_calls_and_their_results_go_together() -> None:
    old = (user(5), calling("a", "b"), result("a", 40), result("b", 40), assistant(5))
    messages = (SYSTEM, *old, user(10))
    assert cut(messages, 1, 6, max_tokens=60) == (SYSTEM, user(10))


def test_in_a_turn_the_older_tool_rounds_go_and_the_newest_stays() -> None:
    first = (calling("a"), result("a", 40))
    second = (calling("b"), result("b", 20))
    messages = (SYSTEM, user(10), *first, *second)
    assert cut(messages, 1, 1, max_tokens=50) == (SYSTEM, user(10), *second)
    with pytest.raises(
        ContextError, match="question with the newest tool results alone have about 38 tokens"
    ):
        cut(messages, 1, 1, max_tokens=37)


def test_a_prefill_stays_behind_the_newest_tool_round() -> None:
    prefill = Message("assistant", "Well:")
    rounds = (calling("a"), result("a", 40), calling("b"), result("b", 20))
    assert cut((user(10), *rounds, prefill), 0, 0, max_tokens=40) == (user(10), *rounds[2:], prefill)


def test_an_image_counts_a_flat_figure_and_stays_with_its_question() -> None:
    question = Message("user", words(10), images=(Image("data:image/png;base64,AAAA"),))
    messages = (user(50), assistant(50), question)
    fitted = fit(messages, Anatomy(0, 2), Context(max_tokens=TOKENS_PER_IMAGE + 13), count)
    assert (fitted.messages, fitted.tokens) == ((question,), TOKENS_PER_IMAGE + 13)


def test_what_cannot_fit_is_an_error_with_the_figures() -> None:
    parts = Anatomy(1, 3, passages=True)
    with pytest.raises(ContextError) as caught:
        fit((SYSTEM, user(11), assistant(12), user(2000)), parts, Context(max_tokens=1500), count)
    assert str(caught.value) == (
        "instructions, question and passages alone have about 2,008 tokens, and context.max_tokens "
        "allows 1,500; lower knowledge.top or knowledge.max_tokens, shorten the question, or raise "
        "context.max_tokens"
    )


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ((user(2000),), "question alone has about 2,003"),
        ((SYSTEM, user(2000)), "instructions and question alone have about 2,008"),
    ],
)
def test_without_passages_nobody_is_told_to_have_fewer(messages: Conversation, said: str) -> None:
    with pytest.raises(ContextError) as caught:
        cut(messages, len(messages) - 1, len(messages) - 1, max_tokens=1500)
    assert str(caught.value) == (
        f"{said} tokens, and context.max_tokens allows 1,500; shorten the question, or raise "
        "context.max_tokens"
    )


def test_overflow_error_leaves_nothing_out() -> None:
    with pytest.raises(ContextError) as caught:
        cut((user(50), assistant(50), user(10)), 0, 2, max_tokens=100, overflow="error")
    assert "the conversation has about 113 tokens, and context.max_tokens allows 100" in str(caught.value)


def test_without_a_limit_nothing_is_counted() -> None:
    def never(messages: Sequence[Message]) -> int:
        raise AssertionError("counted")

    messages = (user(5000), assistant(5000), user(10))
    assert fit(messages, Anatomy(0, 2), Context(), never).messages == messages
    assert fit((user(3),), Anatomy(0, 0), Context(max_tokens=100), never).tokens is None


def test_only_the_newest_tool_results_keep_their_text() -> None:
    messages = (user(5), calling("a"), result("a", 40), calling("b"), result("b", 40))
    fitted = fit(messages, Anatomy(0, 0), Context(tool_results=1), count)
    shortened = Message("tool", LEFT_OUT, tool_call_id="a")
    assert fitted.messages == (*messages[:2], shortened, *messages[3:])
    assert (fitted.results_out, fitted.messages_out) == (1, 0)


def test_tool_results_0_keeps_no_text_but_what_is_shorter_than_the_note() -> None:
    short = Message("tool", "42", tool_call_id="a")
    messages = (user(5), calling("a"), short, calling("b"), result("b", 40))
    sent = cut(messages, 0, 0, tool_results=0)
    assert [message.content for message in sent if message.role == "tool"] == ["42", LEFT_OUT]


def test_shortened_results_may_make_the_rest_fit() -> None:
    messages = (user(5), calling("a"), result("a", 400), calling("b"), result("b", 20))
    fitted = fit(messages, Anatomy(0, 0), Context(tool_results=1, max_tokens=60), count)
    assert (fitted.messages_out, fitted.results_out) == (0, 1)


def test_results_of_messages_that_stay_out_are_not_told_twice() -> None:
    old = (user(5), calling("a"), result("a", 40), assistant(60))
    messages = (*old, user(5), calling("b"), result("b", 40), assistant(5), user(10))
    fitted = fit(messages, Anatomy(0, 8), Context(tool_results=0, max_tokens=50), count)
    assert (fitted.messages_out, fitted.results_out) == (4, 1)


EXAMPLE = {"user": words(20), "assistant": words(20)}
PASSAGES = (Passage("1", words(20), Source("kb", "a.md"), 0.5, 1),)


@pytest.mark.parametrize("attach", ["message", "prepend"])
def test_instructions_examples_passages_question_and_prefill_always_stay(attach: str) -> None:
    gateway = Gateway(
        id="0199c3f0-0000-7000-8000-000000000001",
        name="g",
        model="@test/m",
        examples=[EXAMPLE],
        prefill="So:",
        knowledge={"collections": ["kb"], "attach": attach},
    )
    history = (user(300), assistant(300))
    messages = assemble(gateway, "Be brief.", (*history, user(10)), PASSAGES)
    parts = anatomy(gateway, messages, instructed=True, searched=True)
    bare = assemble(gateway, "Be brief.", (user(10),), PASSAGES)
    assert fit(messages, parts, Context(max_tokens=200), count).messages == bare


def test_a_rough_estimate_counts_four_characters_a_token() -> None:
    assert rough_tokens((Message("user", "a" * 10), Message("assistant", "a" * 11))) == 6


def any_conversation(chance: random.Random) -> tuple[Conversation, Anatomy]:
    """Instructions, some turns with and without tools, passages, a question, and rounds after it."""
    messages = [SYSTEM]

    def rounds(most: int) -> None:
        for _ in range(chance.randrange(most)):
            ids = [f"{len(messages)}.{number}" for number in range(chance.randrange(1, 4))]
            messages.append(calling(*ids))
            messages.extend(result(each, chance.randrange(1, 60)) for each in ids)

    for _ in range(chance.randrange(6)):
        messages.append(user(chance.randrange(1, 40)))
        rounds(3)
        messages.append(assistant(chance.randrange(1, 40)))
    attached = chance.randrange(2)
    messages += [user(chance.randrange(1, 40)) for _ in range(attached)]
    question = len(messages)
    messages.append(user(chance.randrange(1, 20)))
    rounds(4)
    return tuple(messages), Anatomy(1, question, attached)


@pytest.mark.parametrize("seed", range(100))
def test_whatever_is_sent_fits_and_is_in_order_and_whole(seed: int) -> None:
    chance = random.Random(seed)
    messages, parts = any_conversation(chance)
    limits = Context(max_tokens=chance.randrange(20, 300))
    try:
        fitted = fit(messages, parts, limits, count)
    except ContextError:
        newest = [place for place, message in enumerate(messages) if message.role == "assistant"]
        start = max((place for place in newest if place > parts.question), default=len(messages))
        always = (SYSTEM, *messages[parts.question - parts.attached : parts.question + 1], *messages[start:])
        assert count(always) > (limits.max_tokens or 0)
        return
    sent = fitted.messages
    places = [next(place for place, each in enumerate(messages) if each is message) for message in sent]
    assert count(sent) <= (limits.max_tokens or 0)
    assert places == sorted(places)
    assert SYSTEM in sent
    assert messages[parts.question] in sent
    asked = [call.id for message in sent for call in message.tool_calls]
    assert asked == [message.tool_call_id for message in sent if message.role == "tool"]
    assert len(sent) + fitted.messages_out == len(messages)
