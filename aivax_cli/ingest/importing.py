"""A JSONL file of documents into a collection, by the hosted service's rules of updating.

The same docid with another text is indexed anew; with other labels alone, those are changed; the same is
left alone. A file owns its docids: those that are gone from it are removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from aivax_cli.ingest.documents import Chunk, Document, Found
from aivax_cli.ingest.jsonl import BadLine, Line, read_lines
from aivax_cli.ingest.progress import Notice
from aivax_cli.ingest.readers.text import cleaned
from aivax_cli.ingest.shelf import Shelf, hash_of, is_settled, new_chunk, stamp_of
from aivax_cli.retrieval.exporting import IMPORTED_KIND, CollectionFacts
from aivax_cli.retrieval.records import FileStamp, NewChunk, NewDocument, Part, StoredImport

if TYPE_CHECKING:
    from aivax_cli.retrieval.writer import Writer

BATCH: Final = 64
"""Documents stored together."""

BAD_LINES_TOLD: Final = 20
"""Lines of one file that are reported one by one; the others are counted."""


class Import(Struct):
    """One JSONL file that is brought into a collection. `tell` is told how far it is."""

    shelf: Shelf
    found: Found
    keep_missing: bool = False
    tell: Callable[[str], None] = lambda _: None
    _bad_lines: int = 0
    _stored: set[int] = field(default_factory=set)

    def run(self) -> None:
        """Stores what is new or changed, and removes what is gone unless a line could not be read."""
        try:
            checked_ns = time.time_ns()
            stamp = stamp_of(self.found.path)
            done = self._finished(stamp)
            if done is None:
                self._read(stamp, checked_ns)
        except OSError as error:
            self.shelf.tally.failed.append(Notice(self.found.name, error.strerror or str(error)))

    def _finished(self, stamp: FileStamp) -> StoredImport | None:
        """What is known of the file when nothing about it has changed since it was read."""
        shelf = self.shelf
        checked_ns = time.time_ns()
        with shelf.catalogue.reading() as reader:
            done = reader.finished_import(shelf.collection.id, self.found.name)
            if done is None or shelf.anew or done.cutting != shelf.cutting:
                return None
            documents = len(reader.imported_from(shelf.collection.id, self.found.name))
        if not is_settled(done.stamp, stamp, done.checked_ns):
            if hash_of(self.found.path) != done.content_hash:
                return None
            done = StoredImport(done.content_hash, stamp, checked_ns, done.cutting)
            with shelf.catalogue.writing() as writer:
                writer.finish_import(shelf.collection.id, self.found.name, done)
        shelf.tally.unchanged += documents
        return done

    def _read(self, stamp: FileStamp, checked_ns: int) -> None:
        shelf, name = self.shelf, self.found.name
        digest = hash_of(self.found.path)
        last = self._last_lines()
        wanted = (line for line in self._lines() if last.get(line.docid) == line.number)
        while batch := list(islice(wanted, BATCH)):
            with shelf.catalogue.writing() as writer:
                for line in batch:
                    self._stored.add(self._line(writer, line, stamp, checked_ns))
            self.tell(f"{name}:{batch[-1].number}")
        self._count_bad_lines()
        with shelf.catalogue.writing() as writer:
            if not self._bad_lines and not self.keep_missing:
                gone = [
                    number
                    for number in writer.imported_from(shelf.collection.id, name)
                    if number not in self._stored
                ]
                writer.remove_documents(shelf.collection.id, gone)
                shelf.tally.removed += len(gone)
            if not self._bad_lines and stamp_of(self.found.path) == stamp:
                done = StoredImport(digest, stamp, checked_ns, shelf.cutting)
                writer.finish_import(shelf.collection.id, name, done)
            else:
                writer.reopen_import(shelf.collection.id, name)

    def _last_lines(self) -> dict[str, int]:
        """The last line of each docid: it wins."""
        last: dict[str, int] = {}
        for line in read_lines(self.found.path):
            if isinstance(line, Line):
                if line.docid in last:
                    where = f"{line.docid} in {self.found.name}:{last[line.docid]} and {line.number}"
                    self.shelf.tally.findings.add("repeated", f"{where}, the last one counts")
                last[line.docid] = line.number
        return last

    def _lines(self) -> Iterator[Line]:
        """The lines that are documents; what is wrong with others is noted."""
        for line in read_lines(self.found.path):
            if isinstance(line, BadLine):
                self._bad_lines += 1
                if self._bad_lines <= BAD_LINES_TOLD:
                    place = f"{self.found.name}:{line.number}"
                    self.shelf.tally.failed.append(Notice(place, line.reason))
                continue
            if line.unknown:
                fields = ", ".join(line.unknown[:5])
                self.shelf.tally.findings.add("ignored", f"{self.found.name}:{line.number}, {fields}")
            yield line

    def _count_bad_lines(self) -> None:
        more = self._bad_lines - BAD_LINES_TOLD
        if more > 0:
            self.shelf.tally.failed.append(Notice(self.found.name, f"{more:,} more lines are wrong"))

    def _line(self, writer: Writer, line: Line, stamp: FileStamp, checked_ns: int) -> int:
        """Brings the document of one line up to date; gives its id."""
        shelf, name = self.shelf, self.found.name
        collection = shelf.collection.id
        if line.facts is not None:
            self._take_over(writer, line.facts)
        old = writer.document(collection, line.docid)
        part = Part(line.place.document, line.place.number) if line.place else None
        if old is not None and old.source != name:
            owner = old.source or "a file of that name"
            shelf.tally.findings.add("taken", f"{line.docid}, now of {name}, before of {owner}")
        same = old is not None and not shelf.anew and old.cutting == shelf.cutting
        if old is not None and same and old.content_hash == line.content_hash:
            if (old.source, old.labels) == (name, line.labels):
                shelf.tally.unchanged += 1
            else:
                writer.reopen_import(collection, old.source)
                writer.relabel_document(collection, old.id, name, line.labels, part)
                shelf.tally.changed += 1
            return old.id
        chunks = placed(line, shelf.chunker.chunk(document_of(line)))
        whole = len(chunks) == 1 and chunks[0].text == line.text
        new = NewDocument(
            name=line.docid,
            title="",
            kind=IMPORTED_KIND,
            content_hash=line.content_hash,
            stamp=FileStamp(len(line.text.encode()), stamp.mtime_ns, stamp.ctime_ns),
            checked_ns=checked_ns,
            cutting=shelf.cutting,
            source=name,
            labels=line.labels,
            part=part,
            body=None if whole else line.text,
        )
        self._look_at(writer, line, chunks)
        if writer.put_document(collection, new, chunks):
            shelf.tally.changed += 1
        else:
            shelf.tally.added += 1
        stored = writer.document(collection, line.docid)
        assert stored is not None
        return stored.id

    def _look_at(self, writer: Writer, line: Line, chunks: Iterable[NewChunk]) -> None:
        findings = self.shelf.tally.findings
        findings.length(line.docid, sum(chunk.tokens for chunk in chunks))
        twin = writer.twin(self.shelf.collection.id, line.content_hash, line.docid)
        if twin is not None:
            findings.add("double", f"{line.docid} and {twin}")

    def _take_over(self, writer: Writer, facts: CollectionFacts) -> None:
        """A new collection counts scores as the exported one did, if its embedder is the same."""
        collection = self.shelf.collection
        if collection.background is None and facts.fingerprint == collection.embedder.fingerprint:
            writer.set_background(collection.id, facts.background, facts.background_chunks)


def document_of(line: Line) -> Document:
    """A line as what is cut: plain text, so that it stays whole unless it is too long."""
    return Document(line.docid, "", cleaned(line.text), "text", lines_are_real=False)


def placed(line: Line, chunks: Sequence[Chunk]) -> list[NewChunk]:
    """The chunks of a line as they are stored: a part of an exported document keeps its place."""
    place = line.place
    if place is None:
        return [new_chunk(chunk) for chunk in chunks]
    return [
        NewChunk(chunk.text, place.heading, place.first_line, place.last_line, place.page, chunk.tokens)
        for chunk in chunks
    ]
