"""Mends a collection: what is damaged is made anew from the catalogue, what lacks a vector is embedded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from aivax_cli.core.errors import KnowledgeError
from aivax_cli.ingest.embed import EmbeddingPass
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma_server import ServerAddress
from aivax_cli.retrieval.locking import write_lock
from aivax_cli.retrieval.mending import mend
from aivax_cli.retrieval.records import Collection
from aivax_cli.retrieval.search import find_collection, other_embedder
from aivax_cli.retrieval.snapshots import SNAPSHOTS, sound_snapshot
from aivax_cli.retrieval.syncing import sync_vectors
from aivax_cli.retrieval.verification import Problem, Verified, verify

if TYPE_CHECKING:
    from aivax_cli.retrieval.embedding.base import Embedder


class Repair(Struct, frozen=True):
    """What was wrong, what still is, and what the repair embedded."""

    before: tuple[Problem, ...]
    after: Verified
    chunks_embedded: int
    embedding_tokens: int


def repair(
    directory: Path,
    name: str,
    embedder: Embedder,
    *,
    server: ServerAddress | None = None,
    wait_s: float | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> Repair:
    """Verifies a collection, mends what the catalogue can mend, and verifies it again.

    `directory` is the workspace's `.aivax`, `server` where vectors are indexed when it is not here. Files are
    not read. Raises NotFoundError for an unknown collection, KnowledgeError when another embedder built it or
    the catalogue is beyond repair, IngestError when it cannot be written.
    """
    with write_lock(directory, purpose=f"repairing '{name}'", wait_s=wait_s, on_wait=on_wait):
        catalogue = Catalogue.create(directory)
        try:
            collection = _collection(catalogue, name)
            before = verify(catalogue, collection, directory, server).problems
            embedding = EmbeddingPass(catalogue, embedder)
            if any(problem.remedy == "repair" for problem in before):
                _bound(catalogue, collection, embedder)
                # Of an index whose files are all there nobody knows where it is damaged.
                whole = server is not None or sound_snapshot(collection, directory / SNAPSHOTS) is not None
                mend(catalogue, collection, before, index_anew=whole)
                embedding.ensure_background(collection)
                embedding.run(collection, lambda _: None)
                with catalogue.writing() as writer:
                    writer.drop_unused_vectors(collection.id)
                embedding.measure_background(_collection(catalogue, name))
                problem = sync_vectors(catalogue, _collection(catalogue, name), directory, server)
                if problem:
                    raise KnowledgeError(f"collection '{name}': {problem}", fix="try again")
            after = verify(catalogue, _collection(catalogue, name), directory, server)
        finally:
            catalogue.close()
    return Repair(before, after, embedding.chunks, embedding.tokens)


def _collection(catalogue: Catalogue, name: str) -> Collection:
    with catalogue.reading() as reader:
        return find_collection(reader, name)


def _bound(catalogue: Catalogue, collection: Collection, embedder: Embedder) -> None:
    if collection.embedder.fingerprint != embedder.fingerprint:
        with catalogue.reading() as reader:
            raise other_embedder(collection, reader.sources(collection.id), embedder.name)
