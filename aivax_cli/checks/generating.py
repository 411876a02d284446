"""Draft tests of retrieval from a collection's chunks: a model asks, the chunk's document must be found."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import yaml
from msgspec import Struct

from aivax_cli.core.types import Conversation, Message

_LEAST_CHARACTERS = 120
"""Chunks shorter than this say too little to be asked for."""
_LONGEST_QUESTION = 300
_K = 5


class Chunk(Struct, frozen=True):
    """A piece of a document that a question is to be made for."""

    document: str
    heading: str
    text: str


def chosen(chunks: Sequence[Chunk], count: int) -> tuple[Chunk, ...]:
    """At most `count` chunks, spread over the documents, the same ones every time."""
    long = [chunk for chunk in chunks if len(chunk.text) >= _LEAST_CHARACTERS]
    by_document: dict[str, list[Chunk]] = {}
    for chunk in sorted(long, key=lambda each: hashlib.sha256(each.text.encode()).digest()):
        by_document.setdefault(chunk.document, []).append(chunk)
    found: list[Chunk] = []
    while by_document and len(found) < count:
        for document in sorted(by_document):
            found.append(by_document[document].pop())
            if not by_document[document]:
                del by_document[document]
    return tuple(found[:count])


def question_request(chunk: Chunk) -> Conversation:
    """What the model is asked."""
    head = f"{chunk.document}: {chunk.heading}" if chunk.heading else chunk.document
    return (
        Message(
            "user",
            "Write one question that a user who does not know this text would ask, and that it answers. Use "
            "the text's own language, and other words than the text where you can. Reply with the question "
            f"alone.\n\n===== {head} =====\n{chunk.text}\n=====",
        ),
    )


def read_question(text: str) -> str | None:
    """The question in a model's reply: its first line that ends like one. None when there is none."""
    for line in text.splitlines():
        question = re.sub(r"^[\s>*\-\d.)\"'“]+", "", line).strip().strip("\"'”")
        if question.endswith(("?", "？")) and 8 <= len(question) <= _LONGEST_QUESTION:
            return question
    return None


def checks_yaml(gateway: str, questions: Sequence[tuple[Chunk, str]]) -> str:
    """A file of checks with a test for each question, marked as generated."""
    tests = [
        {
            "id": f"generated-{number:03}",
            "generated": True,
            "only": "retrieve",
            "input": question,
            "retrieve": {"must": [chunk.document], "k": _K},
        }
        for number, (chunk, question) in enumerate(questions, start=1)
    ]
    head = (
        "# yaml-language-server: $schema=./.checks.schema.json\n"
        "# Drafts, made from the collection's own text. Read each one, correct it, and remove `generated`.\n"
    )
    value = {"gateway": gateway, "tests": tests}
    return head + yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=100)
