"""A conversation as a document, to be kept: Markdown for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from aivax_cli.render.answer_json import charge_object, source_object, turn_object

if TYPE_CHECKING:
    from aivax_cli.core.events import TurnResult
    from aivax_cli.core.types import Charge, Passage


class Exchange(Struct, frozen=True):
    """A question, its answer as far as it came, and why it ended early, if it did."""

    question: str
    text: str
    passages: tuple[Passage, ...]
    charges: tuple[Charge, ...]
    result: TurnResult | None
    stopped: str | None


def markdown_transcript(gateway: str, model: str, exchanges: Sequence[Exchange]) -> str:
    """The conversation as Markdown: questions and answers under headings, each answer's sources below it."""
    parts = [f"# Conversation with {gateway}"]
    for exchange in exchanges:
        served = exchange.result.model if exchange.result else model
        parts += ["## You", exchange.question.strip(), f"## {gateway} ({served})"]
        if exchange.text.strip():
            parts.append(exchange.text.strip())
        ended = exchange.stopped or (exchange.result.incomplete if exchange.result else None)
        if ended:
            parts.append(f"*({' '.join(ended.split())})*")
        if exchange.passages:
            parts.append("\n".join(_source_line(passage) for passage in exchange.passages))
    return "\n\n".join(parts) + "\n"


def _source_line(passage: Passage) -> str:
    heading = f", {passage.source.heading}" if passage.source.heading else ""
    return f"- [{passage.rank}] `{passage.source.place}`{heading} ({passage.score:.2f})"


def json_transcript(gateway: str, exchanges: Sequence[Exchange]) -> dict[str, object]:
    """The conversation as one object: `turns` hold the question and what `aivax complete --json` prints.

    A turn that ended early has its text, sources and charges, and `incomplete` says why.
    """
    return {"gateway": gateway, "turns": [_turn_object(exchange) for exchange in exchanges]}


def _turn_object(exchange: Exchange) -> dict[str, object]:
    if exchange.result is not None:
        return {"question": exchange.question, **turn_object(exchange.result)}
    return {
        "question": exchange.question,
        "text": exchange.text,
        "sources": [source_object(passage) for passage in exchange.passages],
        "generated_usage": [charge_object(charge) for charge in exchange.charges],
        "incomplete": exchange.stopped,
    }
