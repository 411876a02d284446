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
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest import readers
from aivax_cli.ingest.chunking import Chunker
from aivax_cli.ingest.documents import Document, Found, Skipped
from aivax_cli.ingest.embed import EmbeddingPass
from aivax_cli.ingest.progress import IngestSummary, Notice, Phase, Progress
from aivax_cli.ingest.walk import MAX_BYTES, walk
from aivax_cli.retrieval.analysis import ANALYZER
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.locking import write_lock
from aivax_cli.retrieval.names import check_name
from aivax_cli.retrieval.records import (
    Collection,
    EmbedderTag,
    FileStamp,
    NewChunk,
    NewDocument,
    StoredDocument,
)
from aivax_cli.retrieval.search import other_embedder
from aivax_cli.retrieval.snapshots import sync_snapshot

if TYPE_CHECKING:
    from aivax_cli.retrieval.embedding.base import Embedder

SETTLED_NS = 2_000_000_000
"""A file changed less than this before it was hashed is hashed again next time: it may have changed once more
within the same tick of the file system's clock."""

READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """What to ingest, and how.

    `base` is the workspace: documents are named by their path below it. `include` and `exclude` are globs.
    `reindex` reads and embeds everything anew, with whichever embedder is given.
    """

    paths: tuple[Path, ...]
    collection: str
    base: Path
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_bytes: int = MAX_BYTES
    keep_missing: bool = False
    reindex: bool = False


def ingest(
    request: IngestRequest,
    directory: Path,
    embedder: Embedder,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_wait: Callable[[str], None] | None = None,
    wait_s: float | None = None,
) -> IngestSummary:
    """Brings a collection up to date with the files below `request.paths`.

    `directory` is the workspace's `.aivax`. Waits up to `wait_s` seconds (None: as long as it takes) for
    another writer, after telling `on_wait` who that is. Files that cannot be read are in the summary and keep
    their last version; files that are gone from below the given paths are removed, others are left alone.

    Raises IngestError when nothing can be read or stored, KnowledgeError when another embedder built the
    collection.
    """
    check_name(request.collection)
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
        raise IngestError(f"{where}: no documents to read", fix="check the path and what is excluded")
    with write_lock(
        directory, purpose=f"ingesting into '{request.collection}'", wait_s=wait_s, on_wait=on_wait
    ):
        catalogue = Catalogue.create(directory)
        try:
            return _Run(request, directory, catalogue, embedder, on_progress, items).run()
        finally:
            catalogue.close()


@dataclass(slots=True)
class _Run:
    """One ingest under way, and what it has counted so far."""

    request: IngestRequest
    directory: Path
    catalogue: Catalogue
    embedder: Embedder
    on_progress: Callable[[Progress], None]
    items: Sequence[Found | Skipped]
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("added", "changed", "unchanged"), 0)
    )
    failed: list[Notice] = field(default_factory=list)
    skipped: list[Notice] = field(default_factory=list)
    warnings: list[Notice] = field(default_factory=list)
    files_total: int = 0
    files_done: int = 0
    chunks_done: int = 0
    chunks_total: int = 0
    phase: Phase = "reading"
    started: float = field(default_factory=time.monotonic)
    phase_started: float = field(default_factory=time.monotonic)
    chunker: Chunker | None = None

    def run(self) -> IngestSummary:
        collection = self._collection()
        removed = self._read(collection)
        self._begin("embedding")
        embedding = self._embed(collection)
        self._begin("indexing")
        with self.catalogue.writing() as writer:
            writer.drop_unused_vectors(collection.id)
        embedding.measure_background(self._again())
        problem = sync_snapshot(self.catalogue, self._again(), self.directory)
        if problem:
            self.warnings.append(Notice(collection.name, problem))
        with self.catalogue.reading() as reader:
            summary = reader.summary(self._again())
        return IngestSummary(
            collection=collection.name,
            removed=removed,
            failed=tuple(self.failed),
            skipped=tuple(self.skipped),
            warnings=tuple(self.warnings),
            documents=summary.documents,
            chunks=summary.chunks,
            chunks_embedded=embedding.chunks,
            embedding_tokens=embedding.tokens,
            embedder=self.embedder.name,
            seconds=time.monotonic() - self.started,
            embedding_s=embedding.seconds,
            **self.counts,
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

    def _read(self, collection: Collection) -> int:
        """Stores what is new or changed; says how many documents were gone and removed."""
        self.files_total = sum(isinstance(item, Found) for item in self.items)
        seen: set[int] = set()
        passed_over: list[str] = []
        for item in self.items:
            if isinstance(item, Skipped):
                self.skipped.append(Notice(item.name, item.reason))
                passed_over.append(item.name)
                continue
            self._tell(item.name)
            document_id = self._file(collection, item)
            if document_id is not None:
                seen.add(document_id)
            self.files_done += 1
        self._tell()
        return 0 if self.request.keep_missing else self._remove_gone(collection, seen, passed_over)

    def _file(self, collection: Collection, found: Found) -> int | None:
        """Brings one file up to date; gives its document's id, None when there is none."""
        with self.catalogue.reading() as reader:
            old = reader.document(collection.id, found.name)
        try:
            checked_ns = time.time_ns()
            stamp = _stamp(found.path)
            if old is not None and not self.request.reindex and _is_settled(old, stamp):
                self.counts["unchanged"] += 1
                return old.id
            digest = _hash(found.path)
            if old is not None and not self.request.reindex and digest == old.content_hash:
                with self.catalogue.writing() as writer:
                    writer.touch_document(old.id, stamp, checked_ns)
                self.counts["unchanged"] += 1
                return old.id
            document = readers.read(found)
        except OSError as error:
            self.failed.append(Notice(found.name, error.strerror or str(error)))
            return old.id if old is not None else None
        except IngestError as error:
            self.failed.append(Notice(found.name, str(error).removeprefix(f"{found.name}: ")))
            return old.id if old is not None else None
        self._store(
            collection,
            document,
            NewDocument(found.name, document.title, document.kind, digest, stamp, checked_ns),
        )
        with self.catalogue.reading() as reader:
            stored = reader.document(collection.id, found.name)
        return stored.id if stored is not None else None

    def _store(self, collection: Collection, document: Document, new: NewDocument) -> None:
        self.warnings.extend(Notice(document.name, reason) for reason in document.warnings)
        if self.chunker is None:
            self.chunker = Chunker(count_tokens=self.embedder.count_tokens)
        chunks = [
            NewChunk(chunk.text, chunk.heading, chunk.first_line, chunk.last_line, chunk.page, chunk.tokens)
            for chunk in self.chunker.chunk(document)
        ]
        with self.catalogue.writing() as writer:
            replaced = writer.put_document(collection.id, new, chunks)
        self.counts["changed" if replaced else "added"] += 1

    def _remove_gone(self, collection: Collection, seen: set[int], passed_over: list[str]) -> int:
        """Removes documents below the ingested paths that the walk did not meet.

        What the walk passed over, and all below it, is not gone: it could not be looked at.
        """
        roots = [root_name(path, self.request.base) for path in self.request.paths]
        with self.catalogue.reading() as reader:
            gone = [
                number
                for number, name in reader.document_names(collection.id)
                if number not in seen and _is_below(name, roots) and not _is_below(name, passed_over)
            ]
        if gone:
            with self.catalogue.writing() as writer:
                writer.remove_documents(collection.id, gone)
        return len(gone)

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


def root_name(path: Path, base: Path) -> str:
    """How documents below `path` begin to be named, as `walk` names them: from `base`, else absolute."""
    absolute = Path(os.path.normpath(path.absolute()))
    for above in (Path(os.path.normpath(base.absolute())), base.resolve()):
        if absolute.is_relative_to(above):
            return absolute.relative_to(above).as_posix()
    return absolute.as_posix()


def _is_below(name: str, roots: list[str]) -> bool:
    """Whether a document of that name lies at or below one of the roots."""
    return any(
        name == root
        or name.startswith(root.rstrip("/") + "/")
        or (root == "." and not Path(name).is_absolute())
        for root in roots
    )


def _stamp(path: Path) -> FileStamp:
    status = path.stat()
    return FileStamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _is_settled(old: StoredDocument, stamp: FileStamp) -> bool:
    """Whether the file's stamp alone says that its content is the same."""
    latest = max(stamp.mtime_ns, stamp.ctime_ns)
    return old.stamp == stamp and latest < old.checked_ns - SETTLED_NS


def _hash(path: Path) -> bytes:
    digest = blake2b(digest_size=32)
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.digest()
