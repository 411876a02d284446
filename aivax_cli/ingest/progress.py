"""What an ingest says while it runs, and when it is done."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from msgspec import Struct

Phase = Literal["reading", "embedding", "indexing"]


class Progress(Struct, frozen=True):
    """How far an ingest is. Only the counts of the current phase move.

    While `reading`: files of all files; `current` is the one at hand. While `embedding`: chunks of all that
    need a vector. While `indexing`: vectors of all that the index lacks, 0 of 0 until that is known.
    `phase_s` is the time since the phase began.
    """

    phase: Phase
    files_done: int
    files_total: int
    chunks_done: int
    chunks_total: int
    phase_s: float
    current: str = ""


class Notice(Struct, frozen=True):
    """Something about one file that a person should know: it failed, was skipped, or looks wrong."""

    name: str
    reason: str


class IngestPlan(Struct, frozen=True):
    """What an ingest would do. `chunks` are those of added and changed documents.

    `chunks_to_embed` have no vector yet; embedding them reads about `embedding_tokens`, counted by the
    embedder's own tokenizer if `exact`, with what measuring the background of a new collection takes.
    `usd` is None when the price is unknown, `seconds` when the speed is.
    """

    collection: str
    files: int
    added: int
    changed: int
    unchanged: int
    removed: int
    failed: tuple[Notice, ...]
    skipped: tuple[Notice, ...]
    warnings: tuple[Notice, ...]
    chunks: int
    chunks_to_embed: int
    embedding_tokens: int
    embedder: str
    exact: bool
    usd: Decimal | None
    seconds: float | None


class IngestSummary(Struct, frozen=True):
    """What an ingest did.

    `chunks` are the collection's, afterwards; `chunks_embedded` those whose text had no vector yet.
    `embedding_tokens` is what the embedder read, to be charged as `rag.embedding.index`.
    `embedding_s` is the part of `seconds` that the embedder took. `failed` keeps older versions of its files.
    """

    collection: str
    added: int
    changed: int
    unchanged: int
    removed: int
    failed: tuple[Notice, ...]
    skipped: tuple[Notice, ...]
    warnings: tuple[Notice, ...]
    documents: int
    chunks: int
    chunks_embedded: int
    embedding_tokens: int
    embedder: str
    seconds: float
    embedding_s: float

    @property
    def chunks_per_s(self) -> float:
        """Embedding speed; 0 when nothing was embedded."""
        return self.chunks_embedded / self.embedding_s if self.embedding_s > 0 else 0.0
