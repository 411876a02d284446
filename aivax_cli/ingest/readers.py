"""Files become documents."""

from __future__ import annotations

from collections.abc import Mapping

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.documents import Document, Found

SUPPORTED: Mapping[str, tuple[str, ...]] = {
    "markdown": (".md", ".markdown"),
    "text": (".txt",),
}
"""Kinds of documents and the file extensions that mean them."""


def read(found: Found) -> Document:
    """The file as a document. Raises IngestError when it cannot be read."""
    try:
        text = found.path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise IngestError(f"{found.name}: cannot be read: {error.strerror}") from error
    return Document(name=found.name, title=found.path.stem, text=text, kind="markdown")
