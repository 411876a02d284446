"""What an ingest would do, found out without writing, embedding or spending anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from aivax_cli.core.errors import IngestError
from aivax_cli.core.types import Prices
from aivax_cli.ingest import readers
from aivax_cli.ingest.chunking import Chunker, cutting
from aivax_cli.ingest.documents import Chunk, Document, Found, Skipped
from aivax_cli.ingest.findings import Findings
from aivax_cli.ingest.importing import BAD_LINES_TOLD, document_of, placed
from aivax_cli.ingest.jsonl import BadLine, Line, read_lines
from aivax_cli.ingest.progress import IngestPlan, Notice
from aivax_cli.ingest.run import IngestRequest, found_items, is_below, root_name
from aivax_cli.ingest.shelf import ELSEWHERE, hash_of, is_settled, new_chunk, stamp_of
from aivax_cli.ingest.tokens import CountTokens
from aivax_cli.retrieval.calibration import SAMPLE_CHUNKS
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.reader import Reader
from aivax_cli.retrieval.records import Collection, NewChunk, StoredDocument, embedded_text
from aivax_cli.retrieval.search import other_embedder
from aivax_cli.retrieval.writer import text_hash

PRIOR_TOKENS: Final = 600
SAMPLE_TOKENS: Final = 36
"""What measuring the background of a new collection reads: its fixed texts, and the opening of each chunk of
the sample."""


class Estimator(Struct, frozen=True):
    """What an embedder would take. `tokens_a_text` are those that it adds to every text.

    `prices` of None are unknown. `tokens_per_s` is what it managed before, or on machines like this one; None
    when nobody knows. `exact` says that tokens are counted by the embedder's own tokenizer.
    """

    name: str
    fingerprint: str
    count_tokens: CountTokens
    tokens_a_text: int
    prices: Prices | None
    tokens_per_s: float | None
    exact: bool


def plan(
    request: IngestRequest,
    directory: Path,
    estimator: Estimator,
    *,
    on_file: Callable[[int, int, str], None] = lambda *_: None,
) -> IngestPlan:
    """What `ingest` would do now; `on_file` is told of files done, all files and the one at hand.

    Raises IngestError when there is nothing to read, KnowledgeError when another embedder built the
    collection.
    """
    items = found_items(request)
    catalogue = Catalogue.open(directory)
    if catalogue is None:
        return _Plan(request, estimator, None, None).run(items, on_file)
    try:
        with catalogue.reading() as reader:
            collection = reader.collection(request.collection)
            bound = collection is not None and collection.embedder.fingerprint == estimator.fingerprint
            if collection is not None and not bound and not request.reindex:
                raise other_embedder(collection, reader.sources(collection.id), estimator.name)
            return _Plan(request, estimator, reader, collection).run(items, on_file)
    finally:
        catalogue.close()


def measured_speed(directory: Path, fingerprint: str) -> float | None:
    """The tokens a second that an embedder managed in this workspace; None when it had too little to do."""
    catalogue = Catalogue.open(directory)
    if catalogue is None:
        return None
    try:
        with catalogue.reading() as reader:
            return reader.tokens_per_s(fingerprint)
    finally:
        catalogue.close()


class _Plan(Struct):
    """A plan in the making."""

    request: IngestRequest
    estimator: Estimator
    reader: Reader | None
    collection: Collection | None
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("added", "changed", "unchanged"), 0)
    )
    chunks: int = 0
    tokens: int = 0
    texts: int = 0
    failed: list[Notice] = field(default_factory=list)
    skipped: list[Notice] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    warnings: list[Notice] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    removed: int = 0
    _seen: set[bytes] = field(default_factory=set)
    _chunker: Chunker | None = None

    def run(self, items: Sequence[Found | Skipped], on_file: Callable[[int, int, str], None]) -> IngestPlan:
        files = [item for item in items if isinstance(item, Found)]
        for item in items:
            if isinstance(item, Skipped):
                notices = self.failed if item.failed else self.skipped
                notices.append(Notice(item.name, item.reason))
                self.passed_over.append(item.name)
        for done, item in enumerate(files):
            on_file(done, len(files), item.name)
            try:
                if item.is_import:
                    self._import(item)
                else:
                    self._file(item)
            except OSError as error:
                self.failed.append(Notice(item.name, error.strerror or str(error)))
            except IngestError as error:
                self.failed.append(Notice(item.name, str(error).removeprefix(f"{item.name}: ")))
        self._gone({item.name for item in files})
        if self.texts and (self.collection is None or self.collection.background is None):
            self.tokens += PRIOR_TOKENS + SAMPLE_TOKENS * min(self.texts, SAMPLE_CHUNKS)
        estimator = self.estimator
        prices, speed = estimator.prices, estimator.tokens_per_s
        return IngestPlan(
            collection=self.request.collection,
            files=len(files),
            **self.counts,
            removed=self.removed,
            failed=tuple(self.failed),
            skipped=tuple(self.skipped),
            warnings=(*self.warnings, *self.findings.notices(self.request.collection)),
            chunks=self.chunks,
            chunks_to_embed=self.texts,
            embedding_tokens=self.tokens,
            embedder=estimator.name,
            exact=estimator.exact,
            usd=None if prices is None else prices.input_usd * self.tokens,
            seconds=None if not speed else self.tokens / speed,
        )

    def _gone(self, seen: set[str]) -> None:
        """Counts the documents of files that are gone from below the given paths."""
        request = self.request
        if self.reader is None or self.collection is None or request.keep_missing or request.document:
            return
        roots = [root_name(path, request.base) for path in request.paths]

        def is_gone(name: str) -> bool:
            return name not in seen and is_below(name, roots) and not is_below(name, self.passed_over)

        self.removed += sum(is_gone(name) for _, name in self.reader.document_names(self.collection.id))
        for source in self.reader.import_sources(self.collection.id):
            if source != ELSEWHERE and is_gone(source):
                self.removed += len(self.reader.imported_from(self.collection.id, source))

    def _file(self, found: Found) -> None:
        old = self._stored(found.name)
        stamp = stamp_of(found.path)
        source = ELSEWHERE if self.request.document else ""
        same = old is not None and self._is_kept(old.cutting) and old.source == source
        if old is not None and same:
            settled = is_settled(old.stamp, stamp, old.checked_ns)
            if settled or hash_of(found.path) == old.content_hash:
                self._unchanged(old)
                return
        document = readers.read(found)
        self.warnings.extend(Notice(found.name, reason) for reason in document.warnings)
        chunks = self._cut(document)
        self.findings.chunks(found.name, chunks)
        self._new(old, [new_chunk(chunk) for chunk in chunks])

    def _import(self, found: Found) -> None:
        last = {line.docid: line.number for line in read_lines(found.path) if isinstance(line, Line)}
        bad = 0
        kept: set[int] = set()
        for line in read_lines(found.path):
            if isinstance(line, BadLine):
                bad += 1
                if bad <= BAD_LINES_TOLD:
                    self.failed.append(Notice(f"{found.name}:{line.number}", line.reason))
            elif last[line.docid] == line.number:
                old = self._stored(line.docid)
                kept |= set() if old is None else {old.id}
                self._line(line, old)
        if self.reader and self.collection and not bad and not self.request.keep_missing:
            stored = self.reader.imported_from(self.collection.id, found.name)
            self.removed += len(set(stored) - kept)

    def _line(self, line: Line, old: StoredDocument | None) -> None:
        if old is not None and self._is_kept(old.cutting) and old.content_hash == line.content_hash:
            self._unchanged(old)
            return
        chunks = placed(line, self._cut(document_of(line)))
        self.findings.length(line.docid, sum(chunk.tokens for chunk in chunks))
        self._new(old, chunks)

    def _stored(self, name: str) -> StoredDocument | None:
        if self.reader is None or self.collection is None:
            return None
        return self.reader.document(self.collection.id, name)

    def _is_kept(self, cut: str) -> bool:
        return not self.request.reindex and cut == cutting(self.request.chunk_tokens)

    def _cut(self, document: Document) -> list[Chunk]:
        if self._chunker is None:
            self._chunker = Chunker(
                max_tokens=self.request.chunk_tokens, count_tokens=self.estimator.count_tokens
            )
        return self._chunker.chunk(document)

    def _unchanged(self, old: StoredDocument) -> None:
        self.counts["unchanged"] += 1
        if old.state == "lexical" and self.reader is not None:
            self._embed(self.reader.pending_texts(old.id))

    def _new(self, old: StoredDocument | None, chunks: Sequence[NewChunk]) -> None:
        self.counts["added" if old is None else "changed"] += 1
        self.chunks += len(chunks)
        self._embed(embedded_text(chunk.heading, chunk.text) for chunk in chunks)

    def _embed(self, texts: Iterable[str]) -> None:
        """Counts the texts that have no vector yet."""
        new = {text_hash(text): text for text in texts}
        for digest in self._seen & new.keys():
            del new[digest]
        if self.reader is not None and self.collection is not None and not self.request.reindex:
            for digest in self.reader.known_vectors(self.collection, list(new)):
                del new[digest]
        self._seen |= new.keys()
        self.texts += len(new)
        counted = self.estimator.count_tokens(list(new.values())) if new else ()
        self.tokens += sum(counted) + len(new) * self.estimator.tokens_a_text
