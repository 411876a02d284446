"""Is it text? Told from a file's first bytes, as git and `file` do."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

from aivax_cli.ingest.supported import is_known

BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark begins it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_MARKS: Final = tuple(mark for mark, _ in BYTE_ORDER_MARKS)
_HEAD_BYTES: Final = 8_192
_CONTROLS: Final = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\b\x1b") + b"\x7f"
_MOST_CONTROLS: Final = 0.01


def why_not_text(path: Path) -> str | None:
    """Why the file is no text, None when it is. Raises OSError when it cannot be opened."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if looks_like_text(head):
        return None
    if not path.suffix or is_known(path):
        return "a binary file"
    return f"a binary file; there is no reader for {path.suffix}"


def looks_like_text(head: bytes) -> bool:
    """Whether bytes are text in some encoding: marked as such, or without NUL and nearly without controls."""
    if head.startswith(_MARKS):
        return True
    if b"\0" in head:
        return False
    return len(head) - len(head.translate(None, _CONTROLS)) <= _MOST_CONTROLS * len(head)
