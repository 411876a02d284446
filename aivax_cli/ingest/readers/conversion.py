"""Kreuzberg, kept on a short leash: no cache, no OCR, no network, its errors in one line.

What version 4.10.4 does that its documentation does not say, each found by experiment:
- its cache is on by default and lies in the working folder; OCR starts a program; grammars for source code
  are downloaded. None of that is used here.
- `mime_type` decides alone: bytes that are something else fail, they are not sniffed.
- Markdown output escapes punctuation everywhere (`R\\&D`), except for HTML and EPUB.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.structure import outside_fences

if TYPE_CHECKING:
    from kreuzberg import ExtractionResult

_ESCAPE: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
_STRUCTURAL_ESCAPE: Final = re.compile(r"[ \t]*\\[#>+~`=-]")
_PROGRAM_TITLE: Final = re.compile(
    r"(?i)^(?:microsoft (?:word|powerpoint|excel)\b.*|untitled.*|document ?\d*|powerpoint presentation"
    r"|slide ?1|.*\.(?:docx?|pptx?|xlsx?|odt|rtf|tex|dvi|indd|qxd|pages))$"
)


def convert(data: bytes, mime_type: str, name: str, **options: Any) -> ExtractionResult:
    """`data` as Kreuzberg reads it, in Markdown. `options` are those of its ExtractionConfig.

    Raises IngestError, in one line that begins with `name`.
    """
    from kreuzberg import ExtractionConfig, KreuzbergError, extract_bytes_sync

    config = ExtractionConfig(
        use_cache=False,
        ocr=None,
        enable_quality_processing=False,
        output_format="markdown",
        **options,
    )
    try:
        return extract_bytes_sync(data, mime_type, config=config)
    except KreuzbergError as error:
        reason, fix = _explained(str(error))
        raise IngestError(f"{name}: {reason}", fix=fix) from error


def unescaped(markdown: str) -> str:
    """Markdown without the backslashes that protect nothing: `R\\&D` → `R&D`. Code stays as it is."""
    return outside_fences(markdown, _unescape_lines)


def usable_title(title: object) -> str | None:
    """A title from a file's metadata, unless a program put its own words there."""
    if not isinstance(title, str):
        return None
    words = " ".join(title.split())
    return words if words and not _PROGRAM_TITLE.match(words) else None


def has_words(text: str) -> bool:
    """Whether there is anything in it to search for."""
    return any(map(str.isalnum, text))


def _unescape_lines(stretch: str) -> str:
    return "".join(map(_unescape_line, stretch.splitlines(keepends=True)))


def _unescape_line(line: str) -> str:
    if line.startswith("|"):
        return _ESCAPE.sub(lambda mark: mark[0] if mark[1] == "|" else mark[1], line)
    kept = _STRUCTURAL_ESCAPE.match(line)
    at = kept.end() if kept else 0
    return line[:at] + _ESCAPE.sub(r"\1", line[at:])


def _explained(message: str) -> tuple[str, str]:
    """Why a document could not be read, in words, and what to do about it."""
    lowered = message.lower()
    if "password" in lowered or "encrypted" in lowered:
        return "protected by a password", "save a copy without one"
    if "security limit" in lowered:
        return "unpacks to far more than a document should", "leave it out if you do not trust it"
    detail = " ".join(message.split()).split(": ")
    said = next((part for part in detail[1:] if part), "not readable")
    return f"broken, or not what its name says ({said[:80].rstrip('.')})", "open it and save it again"
