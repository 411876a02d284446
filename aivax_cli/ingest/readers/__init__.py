"""Files become documents: one reader for each way of storing text, all in `READERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.documents import Document, Found
from aivax_cli.ingest.readers.html import read_html
from aivax_cli.ingest.readers.office import read_office
from aivax_cli.ingest.readers.pdf import read_pdf
from aivax_cli.ingest.readers.text import read_text
from aivax_cli.ingest.supported import SUPPORTED, kind_of

__all__ = ["READERS", "SUPPORTED", "read"]

Reader = Callable[[Found, str], Document]

READERS: Final[Mapping[str, Reader]] = {
    "markdown": read_text,
    "rst": read_text,
    "text": read_text,
    "table": read_text,
    "code": read_text,
    "html": read_html,
    "pdf": read_pdf,
    "word": read_office,
    "slides": read_office,
    "spreadsheet": read_office,
    "opendocument": read_office,
    "epub": read_office,
    "rtf": read_office,
    "email": read_office,
    "notebook": read_office,
}
"""The reader of each kind in `SUPPORTED`."""


def read(found: Found) -> Document:
    """The file as a document. Uses no network, writes nothing but the PDF engine's library (see `pdf`).

    Raises IngestError, in one line that names the file, when it cannot be read or is not what it claims.
    """
    kind = kind_of(found.path)
    try:
        return READERS[kind](found, kind)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise IngestError(f"{found.name}: cannot be read: {reason}", fix="check its permissions") from error
