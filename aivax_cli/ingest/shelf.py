"""Bringing single documents up to date: is it new, changed or the same, and what is to be stored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest import readers
from aivax_cli.ingest.chunking import Chunker, cutting
from aivax_cli.ingest.documents import Chunk, Document, Found
from aivax_cli.ingest.findings import Findings
from aivax_cli.ingest.jsonl import SUFFIX
from aivax_cli.ingest.progress import Notice
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.records import Collection, FileStamp, NewChunk, NewDocument, StoredDocument

if TYPE_CHECKING:
    from aivax_cli.retrieval.embedding.base import Embedder

SETTLED_NS = 2_000_000_000
"""A file changed less than this before it was hashed is hashed again next time: it may have changed once more
within the same tick of the file system's clock."""

READ_BYTES = 1 << 20

ELSEWHERE = "-"
"""The source, and with it the kind, of documents that are no files of the workspace's."""


class Tally(Struct):
    """What an ingest has counted so far."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: list[Notice] = field(default_factory=list)
    skipped: list[Notice] = field(default_factory=list)
    warnings: list[Notice] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)


class Shelf(Struct):
    """One collection's documents, to which the files of a run are compared.

    `anew` takes every file for changed. `chunk_tokens` is the most tokens in a chunk.
    """

    catalogue: Catalogue
    collection: Collection
    embedder: Embedder
    chunk_tokens: int
    anew: bool
    tally: Tally
    _chunker: Chunker | None = None
    _looked_up: dict[str, StoredDocument | None] = field(default_factory=dict)

    @property
    def cutting(self) -> str:
        return cutting(self.chunk_tokens)

    def is_import(self, found: Found) -> bool:
        """Whether a file is documents in JSONL: also one that was until now, and whose first line broke."""
        if found.is_import or found.path.suffix.lower() != SUFFIX:
            return found.is_import
        with self.catalogue.reading() as reader:
            return bool(reader.imported_from(self.collection.id, found.name))

    def file(self, found: Found, source: str = "") -> int | None:
        """Brings one file up to date; gives its document's id, None when there is none."""
        old = self.stored(found.name)
        try:
            checked_ns = time.time_ns()
            stamp = stamp_of(found.path)
            cut_alike = old is not None and not self.anew and old.cutting == self.cutting
            cut_alike = cut_alike and old is not None and old.source == source
            if old is not None and cut_alike and is_settled(old.stamp, stamp, old.checked_ns):
                self.tally.unchanged += 1
                return old.id
            digest = hash_of(found.path)
            if old is not None and cut_alike and digest == old.content_hash:
                with self.catalogue.writing() as writer:
                    writer.touch_document(old.id, stamp, checked_ns)
                self.tally.unchanged += 1
                return old.id
            document = readers.read(found)
        except OSError as error:
            self.tally.failed.append(Notice(found.name, error.strerror or str(error)))
            return old.id if old is not None else None
        except IngestError as error:
            self.tally.failed.append(Notice(found.name, str(error).removeprefix(f"{found.name}: ")))
            return old.id if old is not None else None
        new = NewDocument(
            found.name, document.title, document.kind, digest, stamp, checked_ns, self.cutting, source
        )
        if source and old is not None and old.source != source:
            self.tally.findings.add("taken", f"{found.name}, before of {old.source or 'a file'}")
        if source:
            title = Path(found.name).stem if document.title == found.path.stem else document.title
            document = replace(document, title=title)
            new = replace(new, title=title, kind=source)
        return self._put(document, new)

    def _put(self, document: Document, new: NewDocument) -> int:
        """Cuts and stores a document, in place of the one of its name; gives its id."""
        self.tally.warnings.extend(Notice(document.name, reason) for reason in document.warnings)
        chunks = self.chunker.chunk(document)
        self.tally.findings.chunks(document.name, chunks)
        with self.catalogue.writing() as writer:
            twin = writer.twin(self.collection.id, new.content_hash, document.name)
            replaced = writer.put_document(self.collection.id, new, [new_chunk(chunk) for chunk in chunks])
            stored = writer.document(self.collection.id, document.name)
        assert stored is not None
        if twin is not None:
            self.tally.findings.add("double", f"{document.name} and {twin}")
        self.tally.changed += replaced
        self.tally.added += not replaced
        return stored.id

    def look_up(self, names: Sequence[str]) -> None:
        """Fetches the documents of these names at once; one transaction for each would take longer than
        hashing a small file. Forgets what was looked up before.
        """
        with self.catalogue.reading() as reader:
            found = reader.documents(self.collection.id, names)
        self._looked_up = {name: found.get(name) for name in names}

    def stored(self, name: str) -> StoredDocument | None:
        """The document of that name, as it is now."""
        if name in self._looked_up:
            return self._looked_up.pop(name)
        with self.catalogue.reading() as reader:
            return reader.document(self.collection.id, name)

    @property
    def chunker(self) -> Chunker:
        """Made when the first document is to be cut: it loads the embedder's tokenizer."""
        if self._chunker is None:
            self._chunker = Chunker(max_tokens=self.chunk_tokens, count_tokens=self.embedder.count_tokens)
        return self._chunker


def new_chunk(chunk: Chunk) -> NewChunk:
    """A chunk as the catalogue takes it."""
    return NewChunk(chunk.text, chunk.heading, chunk.first_line, chunk.last_line, chunk.page, chunk.tokens)


def stamp_of(path: Path) -> FileStamp:
    """What the file system says about a file. Raises OSError."""
    status = path.stat()
    return FileStamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def is_settled(old: FileStamp, stamp: FileStamp, checked_ns: int) -> bool:
    """Whether a file's stamp alone says that its content is what it was when it was hashed."""
    return old == stamp and max(stamp.mtime_ns, stamp.ctime_ns) < checked_ns - SETTLED_NS


def hash_of(path: Path) -> bytes:
    """The name of a file's content: BLAKE2b, 32 bytes. Raises OSError."""
    digest = blake2b(digest_size=32)
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.digest()
