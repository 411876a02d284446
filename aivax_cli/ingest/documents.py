"""What flows through an ingest: files found, documents read, chunks cut. All frozen; none does I/O."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct


class Found(Struct, frozen=True):
    """A file to read. `name` is how users see it: the posix path below the base, else the absolute one.

    `is_import` says that it holds many documents, in JSONL.
    """

    path: Path
    name: str
    is_import: bool = False


class Skipped(Struct, frozen=True):
    """Something that was passed over, and why, in words a person can act on.

    `failed` says that nobody meant it to be: it stands among what could not be read.
    """

    name: str
    reason: str
    failed: bool = False


class Document(Struct, frozen=True):
    """A file as text.

    `text` is what is chunked: the file's own text, or Markdown converted from it.
    `kind` is one of the keys of `readers.SUPPORTED`.
    `page_starts[i]` is the character offset in `text` at which page i+1 begins; empty without pages.
    `lines_are_real` says that line n of `text` is line n of the file.
    `warnings` are short reasons to distrust the text, without the document's name.
    """

    name: str
    title: str
    text: str
    kind: str
    page_starts: tuple[int, ...] = ()
    lines_are_real: bool = True
    warnings: tuple[str, ...] = ()


class Chunk(Struct, frozen=True):
    """A passage of a document.

    `heading` is the path to it, `Title > Section > Subsection`.
    Lines and pages count from 1, both ends included; None where the document has none.
    `tokens` counts `text` alone, by the counter of the chunker that cut it.
    """

    text: str
    heading: str
    first_line: int | None
    last_line: int | None
    page: int | None
    tokens: int
