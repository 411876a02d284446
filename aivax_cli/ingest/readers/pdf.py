"""PDF: the text of each page, with its headings marked.

Kreuzberg 4.10.4 offers a PDF's text twice. As Markdown it reads well but is wrong: a repair of ligatures
turns "TreeMagic" into "Treettiagic", and the page boundaries belong to another text. The text of each page
is right. So that is taken, and of the document structure only which lines are headings.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.documents import Document, Found
from aivax_cli.ingest.readers.conversion import convert, usable_title
from aivax_cli.ingest.readers.text import cleaned
from aivax_cli.ingest.structure import markdown_title

_MAGIC: Final = b"%PDF-"
_SOFT_HYPHEN: Final = re.compile("[\x02\xad\ufffe]\r?\n?")  # pdfium marks a word divided at a line's end
_LOOKS_LIKE_MARKDOWN: Final = re.compile(r"^(?=[ ]{0,3}#{1,6}(?:[ \t]|$)|[ \t]*(?:`{3}|~{3}))", re.MULTILINE)
_LEADERS: Final = re.compile(r"(?:\. ?){4}")
_LONGEST_HEADING: Final = 200
_SCAN_CHARACTERS: Final = 16  # fewer letters and digits on a page, on average, mean a picture of a page
_ENGINE_FOLDER: Final = "kreuzberg-pdfium"


def read_pdf(found: Found, kind: str) -> Document:
    """The PDF's text, page by page. Raises IngestError when it is broken or protected by a password."""
    from kreuzberg import PageConfig

    data = found.path.read_bytes()
    if _MAGIC not in data[:1024]:
        raise IngestError(f"{found.name}: not a PDF", fix="open it and save it again, or leave it out")
    _guard_engine_folder()
    result = convert(
        data,
        "application/pdf",
        found.name,
        pages=PageConfig(extract_pages=True),
        include_document_structure=True,
    )
    headings = _headings(result.document["nodes"] if result.document else ())
    pages = [_page(page["content"], headings.get(page["page_number"], [])) for page in result.pages or ()]
    text, starts = _joined(pages)
    return Document(
        name=found.name,
        title=usable_title(result.metadata.get("title")) or markdown_title(text) or found.path.stem,
        text=text,
        kind=kind,
        page_starts=starts,
        lines_are_real=False,
        warnings=_warnings(text, len(pages)),
    )


def _headings(nodes: Iterable[Mapping[str, Any]]) -> dict[int, list[tuple[str, int]]]:
    """The headings of each page: their words, in lines as on the page, and their level."""
    found: dict[int, list[tuple[str, int]]] = {}
    for node in nodes:
        content = node["content"]
        if content.get("node_type") != "heading" or "page" not in node:
            continue
        words = _SOFT_HYPHEN.sub("", content["text"])
        if words.strip() and len(words) <= _LONGEST_HEADING and not _LEADERS.search(words):
            found.setdefault(node["page"], []).append((words, content["level"]))
    return found


def _page(content: str, headings: Iterable[tuple[str, int]]) -> str:
    """A page's text, its heading lines marked as Markdown's."""
    text = cleaned(_SOFT_HYPHEN.sub("", content)).strip()
    text = _LOOKS_LIKE_MARKDOWN.sub(r"\\", text)
    at = 0
    for words, level in headings:
        line = re.compile(f"^{re.escape(words)}[ ]*$", re.MULTILINE).search(text, at)
        if line is not None:
            marked = f"\n{'#' * level} {' '.join(words.split())}\n"
            text = text[: line.start()] + marked + text[line.end() :]
            at = line.start() + len(marked)
    return text.strip()


def _joined(pages: Iterable[str]) -> tuple[str, tuple[int, ...]]:
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    for page in pages:
        starts.append(length)
        parts.append(f"{page}\n\n")
        length += len(parts[-1])
    return "".join(parts), tuple(starts)


def _warnings(text: str, pages: int) -> tuple[str, ...]:
    if sum(map(str.isalnum, text)) >= _SCAN_CHARACTERS * max(pages, 1):
        return ()
    return (
        f"hardly any text in {pages} page{'s' if pages != 1 else ''}; if it is a scan, run OCR on it first",
    )


def _guard_engine_folder() -> None:
    """Sees to it that nobody else can slip a library in.

    Kreuzberg unpacks its PDF engine into a folder of a fixed name among the temporary files and loads what
    lies there; it compares no more than the size. Where that place is everybody's, the folder must be ours.
    """
    if not hasattr(os, "getuid"):
        return  # Windows: temporary files are each user's own
    folder = Path(os.environ.get("TMPDIR") or "/tmp") / _ENGINE_FOLDER
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError:
        return  # then the engine says itself that it cannot be unpacked
    status = folder.lstat()
    ours = status.st_uid in (os.getuid(), 0) and stat.S_ISDIR(status.st_mode)
    if not ours or status.st_mode & 0o022:
        raise IngestError(
            f"{folder}: somebody else could put another PDF engine there",
            fix="set TMPDIR to a folder of your own",
        )
