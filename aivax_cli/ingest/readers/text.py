"""Files that are text already: their lines stay their lines."""

from __future__ import annotations

import re
from typing import Final

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.documents import Document, Found
from aivax_cli.ingest.sniffing import BYTE_ORDER_MARKS, looks_like_text
from aivax_cli.ingest.structure import markdown_title, rst_headings

_ESCAPE_SEQUENCES: Final = re.compile(r"\x1b(?:\[[0-?]{0,32}[ -/]{0,8}[@-~]|[@-Z\\-_])")
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ufeff\ufffe\uffff]")
_REPLACEMENT: Final = "\ufffd"


def read_text(found: Found, kind: str) -> Document:
    """The file's own text. Raises IngestError for what is no text, OSError for what cannot be opened."""
    data = found.path.read_bytes()
    if not looks_like_text(data[:8192]):
        raise IngestError(f"{found.name}: a binary file, not {_article(kind)}", fix="leave it out")
    text, warnings = decode(data)
    text = cleaned(text)
    return Document(
        name=found.name,
        title=_title(text, kind) or found.path.stem,
        text=text,
        kind=kind,
        warnings=warnings,
    )


def decode(data: bytes, declared: str | None = None) -> tuple[str, tuple[str, ...]]:
    """Bytes as text, and what there is to say about it.

    By byte order mark, then as UTF-8, then as `declared`; failing those, UTF-8 with its faults marked
    when most of what is beyond ASCII is right in it, else Windows-1252, the commonest legacy encoding.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            text = data.decode(encoding, errors="replace")
            return text, _replaced(text, encoding.removesuffix("-sig").upper())
    try:
        return data.decode("utf-8"), ()
    except UnicodeDecodeError:
        pass
    if declared is not None:
        try:
            return data.decode(declared), ()
        except (LookupError, UnicodeError):
            pass  # an unknown name, or a wrong one
    lenient = data.decode("utf-8", errors="replace")
    faults = lenient.count(_REPLACEMENT)
    beyond_ascii = sum(not character.isascii() for character in lenient[:1_000_000])
    if beyond_ascii - min(faults, beyond_ascii) > faults:
        return lenient, _replaced(lenient, "UTF-8")
    return data.decode("cp1252", errors="replace"), ("not UTF-8; read as Windows-1252",)


def cleaned(text: str) -> str:
    """Text with `\\n` as its only line end and without characters that no reader sees."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", " ")
    return _UNPRINTABLE.sub("", _ESCAPE_SEQUENCES.sub("", text))


def _replaced(text: str, encoding: str) -> tuple[str, ...]:
    faults = text.count(_REPLACEMENT)
    return (f"invalid {encoding}: {faults} characters replaced",) if faults else ()


def _title(text: str, kind: str) -> str | None:
    if kind == "markdown":
        return markdown_title(text)
    if kind == "rst":
        headings = rst_headings(text)
        top = [heading.text for heading in headings if heading.level == 1]
        return top[0] if len(top) == 1 else None
    return None


def _article(kind: str) -> str:
    return {"code": "source code", "table": "a table"}.get(kind, kind)
