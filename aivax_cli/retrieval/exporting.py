"""A collection as JSONL in the hosted service's format, so that importing it gives the same searches.

A document that was imported comes out as the line it was. Of any other document each chunk is a line:
`docid` is `DOCUMENT#NUMBER`, `__ref` the document, and `__meta.aivax` says where it stood. Lines are in the
order in which the chunks were stored, so that ties are broken alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Self, TypeGuard

from msgspec import Struct

from aivax_cli.core.types import JsonValue
from aivax_cli.retrieval.management import existing
from aivax_cli.retrieval.records import Collection, ExportRow
from aivax_cli.retrieval.search import find_collection

DOCID_CHARS: Final = 256
REF_CHARS: Final = 64
"""The hosted service's limits."""

OWN_META: Final = "aivax"
"""The key of `__meta` under which a line says what the format has no field for."""

IMPORTED_KIND: Final = "document"
"""The kind of documents that came from JSONL."""


class Place(Struct, frozen=True):
    """Where an exported chunk stood."""

    document: str
    number: int
    heading: str = ""
    first_line: int | None = None
    last_line: int | None = None
    page: int | None = None

    def as_json(self) -> dict[str, JsonValue]:
        """What stands in `__meta.aivax`."""
        place: dict[str, JsonValue] = {"document": self.document, "chunk": self.number}
        if self.heading:
            place["heading"] = self.heading
        if self.first_line is not None:
            place["lines"] = [self.first_line, self.last_line or self.first_line]
        if self.page is not None:
            place["page"] = self.page
        return place

    @classmethod
    def from_json(cls, value: Any) -> Self | None:
        """The place that `__meta.aivax` tells; None when it tells none."""
        if not isinstance(value, dict):
            return None
        document, number = value.get("document"), value.get("chunk")
        heading, lines, page = value.get("heading", ""), value.get("lines"), value.get("page")
        if not (isinstance(document, str) and document and _is_count(number) and isinstance(heading, str)):
            return None
        first, last = lines if _is_pair(lines) else (None, None)
        return cls(document, number, heading, first, last, page if _is_count(page) else None)


class CollectionFacts(Struct, frozen=True):
    """What scores depend on beside the documents: the background, measured at so many chunks."""

    fingerprint: str
    background: float
    background_chunks: int

    def as_json(self) -> dict[str, JsonValue]:
        return {
            "embedder": self.fingerprint,
            "background": self.background,
            "background_chunks": self.background_chunks,
        }

    @classmethod
    def from_json(cls, value: Any) -> Self | None:
        """The facts that `__meta.aivax.collection` tells; None when it tells none."""
        facts = value.get("collection") if isinstance(value, dict) else None
        if not isinstance(facts, dict):
            return None
        embedder, background = facts.get("embedder"), facts.get("background")
        chunks = facts.get("background_chunks")
        if not (isinstance(embedder, str) and isinstance(background, float) and _is_count(chunks)):
            return None
        return cls(embedder, background, chunks) if -1.0 < background < 1.0 else None


def export_collection(directory: Path, name: str) -> Iterator[str]:
    """The lines of a collection, without line ends; read as they are asked for, from one state of it.

    Raises NotFoundError with the nearest name.
    """
    catalogue = existing(directory, name)
    try:
        with catalogue.reading() as reader:
            collection = find_collection(reader, name)
            facts = _facts(collection)
            for row in reader.export_rows(collection.id):
                record = _record(row, facts)
                facts = None
                yield json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    finally:
        catalogue.close()


def _facts(collection: Collection) -> CollectionFacts | None:
    """What an import could not find out by itself: a background measured when the collection was another."""
    measured_as_is = collection.background_generation == collection.generation
    if collection.background is None or not collection.background_chunks or measured_as_is:
        return None
    return CollectionFacts(
        collection.embedder.fingerprint, collection.background, collection.background_chunks
    )


def _record(row: ExportRow, facts: CollectionFacts | None) -> dict[str, JsonValue]:
    own: dict[str, JsonValue] = {}
    if row.kind != IMPORTED_KIND:
        own |= _place(row.document, row.ordinal, row).as_json()
        docid, ref = _docid(row.document, row.ordinal), _ref(row.document)
    else:
        docid, ref = row.document, row.ref
        if row.part_of is not None:
            own |= _place(row.part_of, row.part or 0, row).as_json()
    if facts is not None:
        own["collection"] = facts.as_json()
    meta = json.loads(row.meta) | ({OWN_META: own} if own else {})
    record: dict[str, JsonValue] = {"docid": docid, "text": row.text}
    if ref:
        record["__ref"] = ref
    if row.tags:
        record["__tags"] = list(row.tags)
    if meta:
        record["__meta"] = meta
    return record


def _place(document: str, number: int, row: ExportRow) -> Place:
    return Place(document, number, row.heading, row.first_line, row.last_line, row.page)


def _docid(document: str, number: int) -> str:
    docid = f"{document}#{number}"
    if len(docid) <= DOCID_CHARS:
        return docid
    return f"{document[:180]}…{_digest(document)}#{number}"


def _ref(document: str) -> str:
    return document if len(document) <= REF_CHARS else _digest(document)


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53


def _is_pair(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_count, value))
