"""An ingest, from folders to a searchable collection.

    walk → read → cut → store, a transaction a file     found by words from here on
         → remove what is gone
         → embed what has no vector yet, in windows     found by meaning from here on
         → measure the background → bring Chroma up to date

The catalogue is consistent after every transaction, and each step begins by asking it what there is to do. So
an ingest that was stopped, at whatever point, is gone on with by running it again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.chunking import MAX_TOKENS
from aivax_cli.ingest.documents import Found, Skipped
from aivax_cli.ingest.embed import EmbeddingPass
from aivax_cli.ingest.importing import Import
from aivax_cli.ingest.progress import IngestSummary, Notice, Phase, Progress
from aivax_cli.ingest.shelf import ELSEWHERE, Shelf, Tally
from aivax_cli.ingest.walk import MAX_BYTES, walk
from aivax_cli.retrieval.analysis import ANALYZER
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma_server import ServerAddress
from aivax_cli.retrieval.locking import write_lock
from aivax_cli.retrieval.names import check_name
from aivax_cli.retrieval.records import Collection, EmbedderTag
from aivax_cli.retrieval.search import other_embedder
from aivax_cli.retrieval.syncing import sync_vectors

if TYPE_CHECKING:
    from aivax_cli.retrieval.embedding.base import Embedder


LOOKED_UP = 500
"""Files whose documents are fetched from the catalogue at a time."""


class IngestRequest(Struct, frozen=True):
    """What to ingest, and how.

    `base` is the workspace: documents are named by their path below it. `include` and `exclude` are globs.
    `reindex` reads and embeds everything anew, with whichever embedder is given. `chunk_tokens` is the most
    tokens in a chunk; documents that were cut by another number are cut again. `document` is one that came
    from elsewhere and is ingested instead of `paths`: no file of the workspace's is looked at.
    """

    paths: tuple[Path, ...]
    collection: str
    base: Path
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_bytes: int = MAX_BYTES
    keep_missing: bool = False
    reindex: bool = False
    chunk_tokens: int = MAX_TOKENS
    document: Found | None = None


def ingest(
    request: IngestRequest,
    directory: Path,
    embedder: Embedder,
    *,
    server: ServerAddress | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_wait: Callable[[str], None] | None = None,
    wait_s: float | None = None,
) -> IngestSummary:
    """Brings a collection up to date with the files below `request.paths`.

    `directory` is the workspace's `.aivax`, `server` where vectors are indexed when it is not here. Waits up
    to `wait_s` seconds (None: as long as it takes) for another writer, after telling `on_wait` who that is.
    Files that cannot be read are in the summary and keep their last version; files that are gone from below
    the given paths are removed, others are left alone.

    Raises IngestError when nothing can be read or stored, KnowledgeError when another embedder built the
    collection.
    """
    items = found_items(request)
    with write_lock(
        directory, purpose=f"ingesting into '{request.collection}'", wait_s=wait_s, on_wait=on_wait
    ):
        catalogue = Catalogue.create(directory)
        try:
            return _Run(request, directory, catalogue, embedder, server, on_progress, items).run()
        finally:
            catalogue.close()


def found_items(request: IngestRequest) -> list[Found | Skipped]:
    """The files that a request names, and what is passed over. Raises IngestError when there are none."""
    check_name(request.collection)
    if request.document is not None:
        return [request.document]
    items = list(
        walk(
            request.paths,
            base=request.base,
            include=request.include,
            exclude=request.exclude,
            max_bytes=request.max_bytes,
        )
    )
    if not any(isinstance(item, Found) for item in items):
        where = ", ".join(str(path) for path in request.paths)
        left_out = [item for item in items if isinstance(item, Skipped)]
        why = (
            f"{left_out[0].name}: {left_out[0].reason}" if left_out else "check the path and what is excluded"
        )
        raise IngestError(f"{where}: no documents to read", fix=why)
    return items


class _Run(Struct):
    """One ingest under way, and what it has counted so far."""

    request: IngestRequest
    directory: Path
    catalogue: Catalogue
    embedder: Embedder
    server: ServerAddress | None
    on_progress: Callable[[Progress], None]
    items: Sequence[Found | Skipped]
    tally: Tally = field(default_factory=Tally)
    files_total: int = 0
    files_done: int = 0
    chunks_done: int = 0
    chunks_total: int = 0
    phase: Phase = "reading"
    started: float = field(default_factory=time.monotonic)
    phase_started: float = field(default_factory=time.monotonic)

    def run(self) -> IngestSummary:
        collection = self._collection()
        self._read(collection)
        self._begin("embedding")
        embedding = self._embed(self._again())
        self.chunks_done = self.chunks_total = 0
        self._begin("indexing")
        with self.catalogue.writing() as writer:
            writer.drop_unused_vectors(collection.id)
        embedding.measure_background(self._again())
        problem = sync_vectors(self.catalogue, self._again(), self.directory, self.server, self._indexed)
        if problem:
            self.tally.warnings.append(Notice(collection.name, problem))
        return self._summary(embedding)

    def _summary(self, embedding: EmbeddingPass) -> IngestSummary:
        tally = self.tally
        with self.catalogue.reading() as reader:
            summary = reader.summary(self._again())
        return IngestSummary(
            collection=summary.name,
            added=tally.added,
            changed=tally.changed,
            unchanged=tally.unchanged,
            removed=tally.removed,
            failed=tuple(tally.failed),
            skipped=tuple(tally.skipped),
            warnings=(*tally.warnings, *tally.findings.notices(summary.name)),
            documents=summary.documents,
            chunks=summary.chunks,
            chunks_embedded=embedding.chunks,
            embedding_tokens=embedding.tokens,
            embedder=self.embedder.name,
            seconds=time.monotonic() - self.started,
            embedding_s=embedding.seconds,
        )

    def _begin(self, phase: Phase) -> None:
        self.phase = phase
        self.phase_started = time.monotonic()
        self._tell()

    def _tell(self, current: str = "") -> None:
        elapsed = time.monotonic() - self.phase_started
        self.on_progress(
            Progress(
                self.phase,
                self.files_done,
                self.files_total,
                self.chunks_done,
                self.chunks_total,
                elapsed,
                current,
            )
        )

    def _again(self) -> Collection:
        with self.catalogue.reading() as reader:
            collection = reader.collection(self.request.collection)
        assert collection is not None
        return collection

    def _collection(self) -> Collection:
        """The collection to write to, made or bound anew if need be."""
        tag = EmbedderTag(self.embedder.name, self.embedder.fingerprint, self.embedder.dimension)
        with self.catalogue.writing() as writer:
            collection = writer.collection(self.request.collection)
            if collection is None:
                collection = writer.create_collection(self.request.collection, tag)
            elif self.request.reindex:
                writer.bind_embedder(collection.id, tag)
            elif collection.embedder.fingerprint != tag.fingerprint:
                raise other_embedder(collection, writer.sources(collection.id), tag.name)
            if collection.analyzer != ANALYZER:
                writer.rebuild_lexical(collection.id)
            roots = [root_name(path, self.request.base) for path in self.request.paths]
            writer.add_sources(collection.id, roots)
        return self._again()

    # Reading

    def _read(self, collection: Collection) -> None:
        """Stores what is new or changed and removes what is gone."""
        request = self.request
        shelf = Shelf(
            self.catalogue, collection, self.embedder, request.chunk_tokens, request.reindex, self.tally
        )
        self.files_total = sum(isinstance(item, Found) for item in self.items)
        seen: set[int] = set()
        imported: set[str] = set()
        passed_over: list[str] = []
        for place, item in enumerate(self.items):
            if place % LOOKED_UP == 0:
                shelf.look_up([each.name for each in self.items[place : place + LOOKED_UP]])
            if isinstance(item, Skipped):
                notices = self.tally.failed if item.failed else self.tally.skipped
                notices.append(Notice(item.name, item.reason))
                passed_over.append(item.name)
                continue
            self._tell(item.name)
            if request.document is not None:
                shelf.file(item, source=ELSEWHERE)
            elif shelf.is_import(item):
                imported.add(item.name)
                Import(shelf, item, request.keep_missing, self._tell).run()
                shelf.look_up(())  # its documents may bear the names of files to come
            elif (document_id := shelf.file(item)) is not None:
                seen.add(document_id)
            self.files_done += 1
        self._tell()
        if not request.keep_missing and request.document is None:
            self._remove_gone(collection, seen, passed_over)
            self._remove_gone_imports(collection, imported, passed_over)

    def _remove_gone_imports(self, collection: Collection, seen: set[str], passed_over: list[str]) -> None:
        """Removes the documents of JSONL files below the ingested paths that the walk did not meet."""
        roots = [root_name(path, self.request.base) for path in self.request.paths]
        with self.catalogue.writing() as writer:
            for name in writer.import_sources(collection.id):
                if name in seen or name == ELSEWHERE:
                    continue
                if is_below(name, roots) and not is_below(name, passed_over):
                    gone = writer.imported_from(collection.id, name)
                    writer.remove_documents(collection.id, gone)
                    writer.reopen_import(collection.id, name)
                    self.tally.removed += len(gone)

    def _remove_gone(self, collection: Collection, seen: set[int], passed_over: list[str]) -> None:
        """Removes documents below the ingested paths that the walk did not meet.

        What the walk passed over, and all below it, is not gone: it could not be looked at.
        """
        roots = [root_name(path, self.request.base) for path in self.request.paths]
        with self.catalogue.reading() as reader:
            gone = [
                number
                for number, name in reader.document_names(collection.id)
                if number not in seen and is_below(name, roots) and not is_below(name, passed_over)
            ]
        if gone:
            with self.catalogue.writing() as writer:
                writer.remove_documents(collection.id, gone)
        self.tally.removed += len(gone)

    # Embedding

    def _embed(self, collection: Collection) -> EmbeddingPass:
        embedding = EmbeddingPass(self.catalogue, self.embedder)
        with self.catalogue.reading() as reader:
            self.chunks_total = reader.count_pending(collection.id)
        if self.chunks_total:
            embedding.ensure_background(collection)
            embedding.run(collection, self._embedded)
        return embedding

    def _embedded(self, chunks: int) -> None:
        self.chunks_done += chunks
        self._tell()

    def _indexed(self, vectors: int, of: int) -> None:
        self.chunks_done, self.chunks_total = vectors, of
        self._tell()


def root_name(path: Path, base: Path) -> str:
    """How documents below `path` begin to be named, as `walk` names them: from `base`, else absolute."""
    absolute = Path(os.path.normpath(path.absolute()))
    for above in (Path(os.path.normpath(base.absolute())), base.resolve()):
        if absolute.is_relative_to(above):
            return absolute.relative_to(above).as_posix()
    return absolute.as_posix()


def is_below(name: str, roots: list[str]) -> bool:
    """Whether a document of that name lies at or below one of the roots."""
    return any(
        name == root
        or name.startswith(root.rstrip("/") + "/")
        or (root == "." and not Path(name).is_absolute())
        for root in roots
    )
