"""Word, PowerPoint, Excel, OpenDocument, EPUB, RTF, e-mail and notebooks, converted to Markdown."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.documents import Document, Found
from aivax_cli.ingest.readers.conversion import convert, has_words, unescaped, usable_title
from aivax_cli.ingest.readers.text import cleaned
from aivax_cli.ingest.structure import markdown_title

if TYPE_CHECKING:
    from kreuzberg import ExtractionResult

MAX_UNPACKED_BYTES: Final = 100_000_000
"""What the text parts of a zipped document may unpack to."""

_MAX_MEMBERS: Final = 10_000
_OFFICE: Final = "application/vnd.openxmlformats-officedocument"
_MIME_TYPES: Final[Mapping[str, str]] = {
    "word": f"{_OFFICE}.wordprocessingml.document",
    "slides": f"{_OFFICE}.presentationml.presentation",
    "spreadsheet": f"{_OFFICE}.spreadsheetml.sheet",
    "opendocument": "application/vnd.oasis.opendocument.text",
    "epub": "application/epub+zip",
    "rtf": "application/rtf",
    "email": "message/rfc822",
    "notebook": "application/x-ipynb+json",
}
_ZIPPED: Final = frozenset({"word", "slides", "spreadsheet", "opendocument", "epub"})
_TEXT_PARTS: Final = frozenset(
    {".xml", ".rels", ".xhtml", ".html", ".htm", ".opf", ".ncx", ".rdf", ".css", ".vml", ""}
)
_OLE_MAGIC: Final = bytes.fromhex("d0cf11e0a1b11ae1")
_PAGE_MARK: Final = re.compile(r"^PageMark(\d{1,6})KramEgap$\n*", re.MULTILINE)

# Kreuzberg's Word reader loses character references: `R&amp;D` comes out as `RD`. So they are put in as
# single characters before it, the five that XML reserves as private ones that are turned back after it.
_REFERENCE: Final = re.compile(rb"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
_NAMED: Final = {b"amp": "&", b"lt": "<", b"gt": ">", b"quot": '"', b"apos": "'"}
_STAND_INS: Final = {character: chr(0x10FFF0 + n) for n, character in enumerate("&<>\"'")}
_ORIGINALS: Final = str.maketrans({stand_in: original for original, stand_in in _STAND_INS.items()})


def read_office(found: Found, kind: str) -> Document:
    """The document as Markdown. Raises IngestError when it is broken, protected, or unpacks to too much."""
    from kreuzberg import PageConfig

    data = found.path.read_bytes()
    if kind in _ZIPPED:
        data = _repacked(data, found.name)
    options = {"pages": _marked_pages(PageConfig)} if kind == "slides" else {}
    result = convert(data, _MIME_TYPES[kind], found.name, **options)
    text = cleaned(result.content.translate(_ORIGINALS) if kind == "word" else result.content)
    if kind != "epub":
        text = unescaped(text)
    page_starts: tuple[int, ...] = ()
    if kind == "slides":
        text, page_starts = _without_marks(text)
    return Document(
        name=found.name,
        title=_title(result, text) or found.path.stem,
        text=text,
        kind=kind,
        page_starts=page_starts,
        lines_are_real=False,
        warnings=_warnings(result, text),
    )


def _repacked(data: bytes, name: str) -> bytes:
    """The text parts of a zipped document, unpacked under a limit and stored anew.

    Kreuzberg believes the sizes that an archive declares: one that lied took 2.6 GB and 21 s. Python's
    zipfile reads no more than declared and checks the sum, and the pictures need not be handed on.
    """
    if data.startswith(_OLE_MAGIC):
        raise IngestError(
            f"{name}: protected by a password, or in the format of Office before 2007",
            fix="save it anew, in today's format and without a password",
        )
    stored = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed, zipfile.ZipFile(stored, "w") as unpacked:
            members = [member for member in packed.infolist() if _is_text_part(member)]
            size = sum(member.file_size for member in members)
            if size > MAX_UNPACKED_BYTES or len(members) > _MAX_MEMBERS:
                raise IngestError(
                    f"{name}: {len(members):,} parts that unpack to {size / 1e6:,.0f} MB, over the limit of "
                    f"{_MAX_MEMBERS:,} and {MAX_UNPACKED_BYTES / 1e6:,.0f} MB",
                    fix="leave it out if you do not trust it, else split it",
                )
            for member in members:
                content = packed.read(member)
                if member.filename.startswith("word/") and member.filename.endswith(".xml"):
                    content = _REFERENCE.sub(_stand_in, content)
                unpacked.writestr(member.filename, content)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise IngestError(
            f"{name}: broken, or not what its name says (no readable zip archive)",
            fix="open it and save it again",
        ) from error
    except RuntimeError as error:  # zipfile's word for an encrypted member
        raise IngestError(f"{name}: protected by a password", fix="save a copy without one") from error
    return stored.getvalue()


def _is_text_part(member: zipfile.ZipInfo) -> bool:
    name = member.filename
    return not name.endswith("/") and PurePosixPath(name).suffix.lower() in _TEXT_PARTS


def _stand_in(reference: re.Match[bytes]) -> bytes:
    name, decimal, hexadecimal = reference.groups()
    if name is not None:
        character = _NAMED[name]
    else:
        code = int(decimal) if decimal is not None else int(hexadecimal, 16)
        if code < 0x20 or 0xD800 <= code < 0xE000 or code > 0x10FFFF:
            return b" "
        character = chr(code)
    return _STAND_INS.get(character, character).encode()


def _marked_pages(page_config: type) -> object:
    return page_config(insert_page_markers=True, marker_format="\n\nPageMark{page_num}KramEgap\n\n")


def _without_marks(text: str) -> tuple[str, tuple[int, ...]]:
    """The text without the marks that begin each page, and where each begins."""
    starts: list[int] = []
    parts: list[str] = []
    length = at = 0
    for mark in _PAGE_MARK.finditer(text):
        parts.append(text[at : mark.start()])
        length += len(parts[-1])
        number = int(mark[1])
        starts.extend([length] * (number - len(starts)))
        at = mark.end()
    parts.append(text[at:])
    return "".join(parts), tuple(starts)


def _title(result: ExtractionResult, text: str) -> str | None:
    named = usable_title(result.metadata.get("title")) or usable_title(result.metadata.get("subject"))
    return named or markdown_title(text)


def _warnings(result: ExtractionResult, text: str) -> tuple[str, ...]:
    warnings: list[str] = []
    if not has_words(text):
        warnings.append("no text found")
    attached = len(result.children or ())
    if attached:
        warnings.append(f"{attached} attachment{'s' if attached > 1 else ''} not read")
    return tuple(warnings)
