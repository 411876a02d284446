"""What is kept of a conversation. All frozen; the JSON form is here, too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal

from msgspec import Struct

from aivax_cli.core.errors import ConversationError
from aivax_cli.core.types import Attached, Charge, Image, Passage, Source

State = Literal["writing", "whole", "interrupted", "broken", "failed"]
"""How far an answer came: it is being written; it is all there; Ctrl-C, or the death of the program, ended
it; the endpoint broke it off; it failed."""

TITLE_CHARACTERS: Final = 60


class KeptFile(Struct, frozen=True):
    """What was attached to a question, as it was sent."""

    name: str
    content: Image | Attached


class TurnRecord(Struct, frozen=True):
    """What came of a turn beside its text.

    `passages` have their places and scores, not their texts. `stopped` says why it ended early.
    """

    strategy: str = ""
    search_terms: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()
    charges: tuple[Charge, ...] = ()
    model: str = ""
    finish_reason: str | None = None
    stopped: str | None = None
    context_tokens: int | None = None


class Node(Struct, frozen=True):
    """A turn's place in the tree: the ids of its question and of its answer."""

    question: int
    answer: int


class Summary(Struct, frozen=True):
    """What stands for all turns up to and including one, in what is sent."""

    text: str
    charges: tuple[Charge, ...] = ()


class KeptTurn(Struct, frozen=True):
    """A question and its answer. `at` is when it was asked: UTC, ISO 8601."""

    node: Node
    question: str
    at: str
    text: str
    state: State
    record: TurnRecord
    files: tuple[KeptFile, ...] = ()
    summary: Summary | None = None


class Kept(Struct, frozen=True):
    """A conversation. `head` is the answer in which it ends now, None while it has no turn.

    `charges` are those of all its turns, also of those taken back, and of its summaries.
    """

    id: str
    gateway: str
    title: str
    created_at: str
    changed_at: str
    head: int | None
    turns: int
    charges: tuple[Charge, ...] = ()


def title_from(question: str) -> str:
    """A title out of a first question: its first line, cut at a word."""
    line = next((" ".join(line.split()) for line in question.splitlines() if line.strip()), "")
    if len(line) <= TITLE_CHARACTERS:
        return line
    head, _, _ = line[:TITLE_CHARACTERS].rpartition(" ")
    return (head or line[: TITLE_CHARACTERS - 1]).rstrip(" ,;:.") + "…"


def record_text(record: TurnRecord) -> str:
    """The record as JSON text; fields without a value are left out."""
    value = {
        "strategy": record.strategy,
        "search_terms": list(record.search_terms),
        "passages": [_passage_object(passage) for passage in record.passages],
        "charges": [_charge_object(charge) for charge in record.charges],
        "model": record.model,
        "finish_reason": record.finish_reason,
        "stopped": record.stopped,
        "context_tokens": record.context_tokens,
    }
    return json.dumps({key: each for key, each in value.items() if each}, ensure_ascii=False)


def read_record(text: str) -> TurnRecord:
    """What `record_text` wrote. Raises ConversationError for anything else."""
    try:
        value: dict[str, Any] = json.loads(text)
        return TurnRecord(
            strategy=value.get("strategy", ""),
            search_terms=tuple(value.get("search_terms", ())),
            passages=tuple(map(_passage, value.get("passages", ()))),
            charges=tuple(map(_charge, value.get("charges", ()))),
            model=value.get("model", ""),
            finish_reason=value.get("finish_reason"),
            stopped=value.get("stopped"),
            context_tokens=value.get("context_tokens"),
        )
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
        raise ConversationError(
            f"a kept turn cannot be read ({type(error).__name__})", fix="delete its conversation"
        ) from error


def _passage_object(passage: Passage) -> dict[str, object]:
    source = passage.source
    value = {
        "id": passage.id,
        "rank": passage.rank,
        "score": passage.score,
        "collection": source.collection,
        "document": source.document,
        "heading": source.heading,
        "first_line": source.first_line,
        "last_line": source.last_line,
        "page": source.page,
        "chunk": passage.chunk,
    }
    return {key: each for key, each in value.items() if each not in (None, "")}


def _passage(value: Mapping[str, Any]) -> Passage:
    source = Source(
        value["collection"],
        value["document"],
        value.get("heading", ""),
        value.get("first_line"),
        value.get("last_line"),
        value.get("page"),
    )
    chunk = value.get("chunk", 0)
    return Passage(value["id"], "", source, float(value["score"]), int(value["rank"]), chunk=chunk)


def _charge_object(charge: Charge) -> dict[str, object]:
    price = charge.unit_price_usd
    value: dict[str, object] = {
        "sku": charge.sku,
        "quantity": charge.quantity,
        "unit_price_usd": None if price is None else format(price, "f"),
        "description": charge.description,
    }
    return value | {"estimated": True} if charge.estimated else value


def _charge(value: Mapping[str, Any]) -> Charge:
    price = value["unit_price_usd"]
    return Charge(
        value["sku"],
        int(value["quantity"]),
        None if price is None else Decimal(price),
        value["description"],
        bool(value.get("estimated")),
    )
