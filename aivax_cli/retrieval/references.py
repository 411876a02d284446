"""What a hit brings along: its siblings, which share its `__ref` or its file, or the chunks beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from aivax_cli.core.types import JsonValue, Passage, RetrievalLimits, Source
from aivax_cli.retrieval.filtering import Searcher
from aivax_cli.retrieval.records import StoredChunk

MOST_PASSAGES = 128
"""Hits and what they bring along, together: as many as `top` may ask for."""


def with_references(
    searcher: Searcher, passages: Sequence[Passage], limits: RetrievalLimits
) -> tuple[Passage, ...]:
    """The passages, each followed by what it brings along, the nearest first.

    Each hit brings the `limits.neighbours` chunks before and after it, or up to `limits.top` siblings, as
    long as all fits into `max_tokens`; the hits themselves come first in that. What is there already, or
    says the same, is passed over. `searcher` sees only what the search's filter lets through.
    """
    room = None
    if limits.max_tokens is not None:
        room = limits.max_tokens - sum(passage.tokens for passage in passages)
    seen = {_words(passage.text) for passage in passages}
    chosen: list[Passage] = []
    left = MOST_PASSAGES - len(passages)
    for passage in passages:
        chosen.append(passage)
        for chunk in _beside(searcher, passage, limits):
            if left <= 0:
                break
            if _words(chunk.text) in seen or (room is not None and chunk.tokens > room):
                continue
            seen.add(_words(chunk.text))
            room = None if room is None else room - chunk.tokens
            left -= 1
            chosen.append(passage_of(chunk, passage.source.collection, passage.score, 0, brought=True))
    return tuple(chosen)


def passage_of(
    chunk: StoredChunk, collection: str, score: float, rank: int, *, brought: bool = False
) -> Passage:
    """A stored chunk as users and models see it."""
    source = Source(collection, chunk.document, chunk.heading, chunk.first_line, chunk.last_line, chunk.page)
    # An exported part's own name holds its number already.
    number = "" if chunk.part_of is not None and chunk.ordinal == 0 else f"#{chunk.ordinal}"
    meta: Mapping[str, JsonValue] = json.loads(chunk.meta)
    return Passage(
        f"{collection}/{chunk.row_name}{number}",
        chunk.text,
        source,
        score,
        rank,
        chunk.tokens,
        meta=meta,
        brought=brought,
        chunk=chunk.id,
        position=chunk.position,
    )


def _beside(searcher: Searcher, passage: Passage, limits: RetrievalLimits) -> Iterator[StoredChunk]:
    """The chunks that a hit brings along, nearest first; none for a chunk that is gone by now."""
    hit = searcher.chunks([passage.chunk]).get(passage.chunk)
    if hit is None:
        return
    if limits.neighbours:
        ids = searcher.neighbours(hit, limits.neighbours)
    else:
        ids = searcher.siblings(hit, limits.top)
    chunks = searcher.chunks(ids)
    yield from (chunks[number] for number in ids if number in chunks)


def _words(text: str) -> str:
    return " ".join(text.split())
