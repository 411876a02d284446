"""What the catalogue stores and gives back. All frozen."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

State = Literal["lexical", "ready"]
"""`lexical`: found by its words, its vectors are still to come. `ready`: found by both."""


class EmbedderTag(Struct, frozen=True):
    """Which embedder made a collection's vectors; collections are bound to the fingerprint."""

    name: str
    fingerprint: str
    dimension: int


class Collection(Struct, frozen=True):
    """A collection's row.

    `background` is the cosine of unrelated texts, None until it was measured, at `background_chunks` chunks;
    the collection then had the generation `background_generation`.
    `generation` grows with every change that a search could notice.
    `snapshot` names the folder of the Chroma index; it holds `snapshot_vectors` vectors, those with ids up to
    `snapshot_last`.
    """

    id: int
    name: str
    embedder: EmbedderTag
    analyzer: str
    chunks: int
    background: float | None
    background_chunks: int
    generation: int
    snapshot: str | None
    snapshot_last: int
    snapshot_vectors: int
    created_at: float
    updated_at: float
    background_generation: int = 0


class FileStamp(Struct, frozen=True):
    """What the file system says about a file: cheap to ask, and changes when the content does."""

    size: int
    mtime_ns: int
    ctime_ns: int


class Labels(Struct, frozen=True):
    """What comes with an imported document and is not embedded.

    Documents of one `ref` are parts of one source. `meta` is a JSON object, written compactly, that is given
    back with hits.
    """

    ref: str = ""
    tags: tuple[str, ...] = ()
    meta: str = "{}"


class Part(Struct, frozen=True):
    """Which part of which document an imported line is, when it came from an exported collection."""

    document: str
    number: int


class StoredDocument(Struct, frozen=True):
    """A document's row. `checked_ns` is the time at which its content was last hashed.

    `cutting` names the settings that its chunks were cut by. `source` is the JSONL file that it came from,
    "" for a file of its own.
    """

    id: int
    name: str
    title: str
    kind: str
    content_hash: bytes
    stamp: FileStamp
    checked_ns: int
    state: State
    cutting: str = ""
    source: str = ""
    labels: Labels = Labels()


class NewDocument(Struct, frozen=True):
    """A document to store; see `StoredDocument`.

    `body` is the whole text of an imported document whose chunks do not give it back as it was.
    """

    name: str
    title: str
    kind: str
    content_hash: bytes
    stamp: FileStamp
    checked_ns: int
    cutting: str = ""
    source: str = ""
    labels: Labels = Labels()
    part: Part | None = None
    body: str | None = None


class StoredImport(Struct, frozen=True):
    """A JSONL file that was read to its end, all of its lines right."""

    content_hash: bytes
    stamp: FileStamp
    checked_ns: int
    cutting: str


class TagFilter(Struct, frozen=True):
    """Which documents take part in a search: those with any of the tags, or with all of them."""

    tags: tuple[str, ...]
    match: Literal["any", "all"] = "any"


class NewChunk(Struct, frozen=True):
    """A chunk to store. Lines and pages count from 1; `tokens` counts `text` alone."""

    text: str
    heading: str
    first_line: int | None
    last_line: int | None
    page: int | None
    tokens: int


class StoredChunk(Struct, frozen=True):
    """A chunk with its place. `vector_id` is None while its document is `lexical`.

    `document` is what users are shown; `row_name` names the document's row, which differs for a part of an
    exported document, and `position` counts chunks over all parts.
    """

    id: int
    document: str
    ordinal: int
    text: str
    heading: str
    first_line: int | None
    last_line: int | None
    page: int | None
    tokens: int
    vector_id: int | None
    document_id: int = 0
    row_name: str = ""
    position: int = 0
    part_of: str | None = None
    ref: str = ""
    meta: str = "{}"
    collection_id: int = 0


class ExportRow(Struct, frozen=True):
    """A chunk of a file, or the whole of an imported document, with what an export says of it."""

    document: str
    kind: str
    ordinal: int
    text: str
    heading: str
    first_line: int | None
    last_line: int | None
    page: int | None
    ref: str
    tags: tuple[str, ...]
    meta: str
    part_of: str | None
    part: int | None


class PendingChunk(Struct, frozen=True):
    """A chunk that waits for its vector. `hash` names the text that is embedded."""

    id: int
    document_id: int
    hash: bytes
    text: str


class DocumentSummary(Struct, frozen=True):
    """A document as a person wants to see it."""

    name: str
    title: str
    chunks: int
    tokens: int
    size_bytes: int
    state: State


class CollectionSummary(Struct, frozen=True):
    """A collection as a person wants to see it. `pending_documents` still wait for vectors."""

    name: str
    embedder: str
    dimension: int
    documents: int
    pending_documents: int
    chunks: int
    tokens: int
    source_bytes: int
    background: float | None
    sources: tuple[str, ...]
    created_at: float
    updated_at: float


def embedded_text(heading: str, text: str) -> str:
    """What is embedded and indexed for a chunk: the headings it stands under, then its text."""
    return f"{heading}\n{text}" if heading else text
