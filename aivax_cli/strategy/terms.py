"""Asking a small model for search terms, and reading what it answered. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from aivax_cli.core.types import Conversation, Message

MAX_TERMS = 10
"""The most search terms of one search (the hosted service's limit)."""
MAX_TERMS_CHARACTERS = 500
"""The most characters that those terms hold together (likewise)."""

_INSTRUCTION = (
    "You turn a conversation into search queries for a document search. Write one self-contained "
    "question that says what the user now wants to know, with every name, number and subject that the "
    "conversation only refers to filled in. If the user asks several separate things, write one query "
    f"a line, at most {MAX_TERMS}. Keep the language of the user. "
    "Output the queries alone: no numbering, no quotes, no explanation, and do not answer the question."
)

# Compiled at their first use: most runs do without them.
_LEAD = r"^\s*(?:[-*•]|\(?\d{1,2}[.):])\s+"
_LABEL = (
    r"(?i)"
    r"^(?:(?:search|rewritten|consulta)\s+)?(?:quer(?:y|ies)|questions?|perguntas?|consultas?|search terms?)"
    r"\s*(?:\d+\s*)?:\s*"
)
_FENCE = r"^\s*```.*$"
_THINKING = r"(?s)<think>.*?(?:</think>|\Z)"


def rewrite_request(messages: Sequence[Message]) -> Conversation:
    """The messages that ask a model to rewrite these messages (oldest first) into queries."""
    transcript = "\n".join(f"{message.role}: {' '.join(message.content.split())}" for message in messages)
    return (
        Message("system", _INSTRUCTION),
        Message("user", f"Conversation:\n{transcript}\n\nSearch queries:"),
    )


def read_terms(answer: str) -> tuple[str, ...]:
    """The search terms in a rewrite model's answer: a JSON list, or one a line.

    Numbering, bullets, labels, quotes and reasoning are taken off; doubles are dropped; never more than
    MAX_TERMS terms or MAX_TERMS_CHARACTERS characters, whole terms only. May be empty.
    """
    text = re.sub(_THINKING, "", answer).strip()
    cleaned = (_clean(line) for line in _listed(text))
    terms: list[str] = []
    room = MAX_TERMS_CHARACTERS
    for term in dict.fromkeys(term for term in cleaned if term):
        if len(terms) == MAX_TERMS or len(term) > room:
            break
        terms.append(term)
        room -= len(term)
    return tuple(terms)


def _listed(text: str) -> list[str]:
    unfenced = "\n".join(line for line in text.splitlines() if not re.match(_FENCE, line)).strip()
    if unfenced.startswith(("[", "{")):
        try:
            value = json.loads(unfenced)
        except (ValueError, RecursionError):
            return unfenced.splitlines()
        if isinstance(value, dict):
            value = next((item for item in value.values() if isinstance(item, list)), [])
        return [item for item in value if isinstance(item, str)]
    return unfenced.splitlines()


def _clean(line: str) -> str:
    bare = re.sub(_LABEL, "", re.sub(_LEAD, "", line).strip())
    for opening, closing in ('""', "''", "“”", "«»", "``"):
        if len(bare) > 1 and bare.startswith(opening) and bare.endswith(closing):
            bare = bare[1:-1]
    return " ".join(bare.split())
