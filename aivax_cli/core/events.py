"""What a turn says while it runs. Terminal, JSON, server and checks read the same events."""

from __future__ import annotations

from msgspec import Struct

from aivax_cli.core.types import (
    Charge,
    Conversation,
    JsonValue,
    Level,
    Passage,
    Purpose,
    SearchTerms,
    Timing,
    ToolCall,
    ToolRun,
)


class Routed(Struct, frozen=True):
    """The router has judged the message; `model` answers. `problem` says why it is `medium`, if it failed."""

    level: Level
    model: str
    problem: str = ""


class FellBack(Struct, frozen=True):
    """A model failed before its first word; `next_model` is tried instead, for the same `purpose`."""

    model: str
    reason: str
    next_model: str
    purpose: Purpose = Purpose.ANSWER


class ContextCut(Struct, frozen=True):
    """Parts of the conversation stay out of a call: whole messages, and the text of older tool results.

    `tokens` is what is sent, `max_tokens` the limit that made it so; both approximate, None without a limit.
    """

    messages: int
    tool_results: int
    tokens: int | None
    max_tokens: int | None


class AnswerRejected(Struct, frozen=True):
    """An answer did not hold to the response schema. It is asked for again while `attempt` < `of`."""

    attempt: int
    of: int
    problems: tuple[str, ...]


class Rewritten(Struct, frozen=True):
    """The strategy has chosen what to search."""

    strategy: str
    search_terms: SearchTerms


class Retrieved(Struct, frozen=True):
    """The passages found, best first; they may be none."""

    passages: tuple[Passage, ...]


class Retrying(Struct, frozen=True):
    """A model call failed before its first token and is tried again."""

    model: str
    attempt: int
    reason: str
    wait_s: float


class TextDelta(Struct, frozen=True):
    """A piece of the answer."""

    text: str


class ToolCalling(Struct, frozen=True):
    """A tool is about to run."""

    call: ToolCall


class ToolCalled(Struct, frozen=True):
    """A tool ran, or was refused."""

    run: ToolRun


class Warned(Struct, frozen=True):
    """Something a person should know; the turn goes on."""

    message: str


class Charged(Struct, frozen=True):
    """A call was accounted for."""

    charge: Charge


class TurnResult(Struct, frozen=True):
    """The whole turn.

    `model` is who answered, by the name that the endpoint gives; `target` is the same as users write it.
    `routed` is the router's level, None without one, and `routing_problem` why it is `medium`, if it failed.
    `fallbacks` are the models that failed on the way. `sent` is the exact messages of the last model call,
    `context_tokens` their length, None where nobody counted, `cut` what stayed out of them. `structured` is
    the value that holds to the response schema, where there is one and it was had. `tool_calls` are of
    whoever asked: the turn ends with them, to be gone on with once their results are in the conversation.
    """

    text: str
    model: str
    finish_reason: str | None
    strategy: str
    search_terms: tuple[str, ...]
    passages: tuple[Passage, ...]
    charges: tuple[Charge, ...]
    sent: Conversation
    timing: Timing
    incomplete: str | None = None
    routed: Level | None = None
    routing_problem: str = ""
    target: str = ""
    fallbacks: tuple[FellBack, ...] = ()
    tools: tuple[ToolRun, ...] = ()
    structured: JsonValue = None
    context_tokens: int | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    cut: ContextCut | None = None


class Finished(Struct, frozen=True):
    """The last event of every turn that answered."""

    result: TurnResult


Event = (
    Routed
    | FellBack
    | ContextCut
    | AnswerRejected
    | Rewritten
    | Retrieved
    | Retrying
    | TextDelta
    | ToolCalling
    | ToolCalled
    | Warned
    | Charged
    | Finished
)
