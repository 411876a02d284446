"""How much of a conversation is sent: what stays out when it is longer than the gateway's limit. Pure.

A gateway's own messages (instructions, examples, prefill), system messages, and the last question with its
passages and images always stay. What goes first is the oldest question with everything that answered it, so
that a tool's result never stands without the message that called it and no answer without its question.
Then go the older tool rounds of this turn; its newest round stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.core.errors import ContextError
from aivax_cli.core.types import TOKENS_PER_IMAGE, Conversation, Message
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.sections import Context

LEFT_OUT: Final = "[This result was left out to save room. Call the tool again if it is needed.]"
"""What stands in the place of an older tool result."""

_CHARACTERS_PER_TOKEN: Final = 4

Count = Callable[[Sequence[Message]], int]
"""Tokens of a whole prompt's texts, with what the chat format adds to each message and to them all."""


class Anatomy(Struct, frozen=True):
    """Which messages of a call are what; places count from 0.

    The first `head` are the gateway's own. `question` is the last user message of the conversation; the
    `attached` messages before it are its passages. `passages`: there are some, there or in tool results.
    """

    head: int
    question: int
    attached: int = 0
    passages: bool = False


class Fitted(Struct, frozen=True):
    """What is sent. `tokens` is its length, None where nobody had to count.

    `messages_out` stay out whole, `results_out` are tool results without their text.
    """

    messages: Conversation
    tokens: int | None
    messages_out: int = 0
    results_out: int = 0


def anatomy(gateway: Gateway, assembled: Conversation, *, instructed: bool, searched: bool) -> Anatomy:
    """The parts of what `assembly.assemble` has put together.

    `instructed`: there is a message of instructions; `searched`: passages, or that there are none, are told.
    """
    head = int(instructed) + 2 * len(gateway.examples)
    places = [place for place, message in enumerate(assembled) if message.role == "user" and place >= head]
    apart = searched and not (gateway.knowledge is not None and gateway.knowledge.attach == "prepend")
    question = places[-1] if places else len(assembled)
    return Anatomy(head, question, int(apart), passages=gateway.knowledge is not None)


def fit(messages: Conversation, parts: Anatomy, limits: Context, count: Count) -> Fitted:
    """What of the messages is sent. `messages` begin with those that `parts` describes.

    Nothing is counted without `limits.max_tokens`, nor where the texts are so short that they fit in any
    encoding. Raises ContextError with the figures when it does not fit.
    """
    messages, results_out = _with_newest_results(messages, limits.tool_results)
    most = limits.max_tokens
    if most is None:
        return Fitted(messages, None, 0, results_out)
    if _longest_possible(messages) <= most:
        return Fitted(messages, None, 0, results_out)
    around = count(())
    each = [count((message,)) - around + TOKENS_PER_IMAGE * len(message.images) for message in messages]
    tokens = around + sum(each)
    if tokens <= most:
        return Fitted(messages, tokens, 0, results_out)
    if limits.overflow == "error":
        raise _too_long(
            f"the conversation has about {tokens:,} tokens", most, "set context.overflow to truncate, or "
        )
    out: set[int] = set()
    for unit in _units(messages, parts):
        out.update(unit)
        tokens -= sum(each[place] for place in unit)
        if tokens <= most:
            kept = tuple(message for place, message in enumerate(messages) if place not in out)
            sent_results = _with_newest_results(kept, limits.tool_results)[1]
            return Fitted(kept, tokens, len(out), sent_results)
    raise _still_too_long(messages, parts, tokens, most)


def rough_tokens(messages: Sequence[Message]) -> int:
    """An estimate from characters alone, which loads nothing."""
    letters = sum(len(text) for message in messages for text in _texts(message))
    return -(-letters // _CHARACTERS_PER_TOKEN) + TOKENS_PER_IMAGE * sum(len(m.images) for m in messages)


def _still_too_long(messages: Conversation, parts: Anatomy, tokens: int, most: int) -> ContextError:
    """The error for what always stays, with advice on the parts of it that there are."""
    named = [*(["instructions"] if parts.head else []), "question", *(["passages"] if parts.passages else [])]
    listed = " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
    newest = " with the newest tool results" if _rounds(messages, parts) else ""
    fix = "lower knowledge.top or knowledge.max_tokens, " if parts.passages else ""
    alone = f"{listed}{newest} alone {'have' if len(named) > 1 or newest else 'has'} about {tokens:,} tokens"
    return _too_long(alone, most, f"{fix}shorten the question, or ")


def _too_long(what: str, most: int, fix: str) -> ContextError:
    return ContextError(
        f"{what}, and context.max_tokens allows {most:,}", fix=f"{fix}raise context.max_tokens"
    )


def _with_newest_results(messages: Conversation, newest: int | None) -> tuple[Conversation, int]:
    """Only the `newest` tool results keep their text; and how many do not."""
    if newest is None:
        return messages, 0
    results = [place for place, message in enumerate(messages) if message.role == "tool"]
    older = set(results[: len(results) - newest] if newest else results)
    older = {place for place in older if len(messages[place].content) > len(LEFT_OUT)}
    if not older:
        already = sum(1 for message in messages if message.role == "tool" and message.content == LEFT_OUT)
        return messages, already
    shortened = tuple(
        replace(message, content=LEFT_OUT) if place in older else message
        for place, message in enumerate(messages)
    )
    return shortened, len(older)


def _units(messages: Conversation, parts: Anatomy) -> list[list[int]]:
    """What goes together, in the order in which it goes."""
    before: list[list[int]] = []
    for place in range(parts.head, parts.question - parts.attached):
        role = messages[place].role
        if role == "system":
            continue
        if role == "user" or not before:
            before.append([])
        before[-1].append(place)
    return before + _rounds(messages, parts)[:-1]


def _rounds(messages: Conversation, parts: Anatomy) -> list[list[int]]:
    """The rounds after the question: an assistant's message and what answers it. A prefill is none."""
    last = len(messages)
    if last - 1 > parts.question and messages[-1].role == "assistant" and not messages[-1].tool_calls:
        last -= 1
    rounds: list[list[int]] = []
    for place in range(parts.question + 1, last):
        if messages[place].role == "system":
            continue
        if messages[place].role == "assistant" or not rounds:
            rounds.append([])
        rounds[-1].append(place)
    return rounds


def _texts(message: Message) -> tuple[str, ...]:
    calls = (text for call in message.tool_calls for text in (call.name, call.arguments))
    return (message.content, *calls)


def _longest_possible(messages: Conversation) -> int:
    """Tokens that no encoding exceeds: a token is a byte at least, and a message adds at most a dozen."""
    letters = sum(len(text.encode("utf-8", "replace")) for m in messages for text in _texts(m))
    return letters + sum(12 + TOKENS_PER_IMAGE * len(message.images) for message in messages)
