"""What a turn says while it runs. Terminal, JSON, server and checks read the same events."""

from __future__ import annotations

from dataclasses import dataclass

from aivax_cli.core.types import Charge, Conversation, Passage, SearchTerms, Timing, ToolCall


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The strategy has chosen what to search."""

    strategy: str
    search_terms: SearchTerms


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The passages found, best first; they may be none."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Retrying:
    """A model call failed before its first token and is tried again."""

    model: str
    attempt: int
    reason: str
    wait_s: float


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A tool ran; `result` is what the model gets to see."""

    call: ToolCall
    result: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should know; the turn goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class Charged:
    """A call was accounted for."""

    charge: Charge


@dataclass(frozen=True, slots=True)
class TurnResult:
    """The whole turn. `sent` is the exact messages of the last model call."""

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


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of every turn that answered."""

    result: TurnResult


Event = Rewritten | Retrieved | Retrying | TextDelta | ToolCalled | Warned | Charged | Finished
