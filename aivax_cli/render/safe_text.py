"""Text from models and documents, made harmless for a terminal."""

from __future__ import annotations

# Escape sequences begin with a control character: shown as its picture (U+2400 block), none remains.
_CONTROLS = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_CONTROLS |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
# Bidirectional overrides and embeddings reorder what stands beside them; right-to-left text needs none.
_BIDI = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), None)
_TABLE: dict[int, int | str | None] = {
    **_CONTROLS,
    **_BIDI,
    0x09: "\t",
    0x0A: "\n",
    0x2028: "\n",
    0x2029: "\n",
    # A lone surrogate cannot be encoded, so it cannot be printed.
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
}


def safe_text(text: str) -> str:
    """The text without anything that a terminal would obey; only newline and tab stay controls.

    Line ends of every kind become newlines. The length may change.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.translate(_TABLE) if not text.isascii() or not text.isprintable() else text


def safe_line(text: str) -> str:
    """The same on one line: runs of white space become one space."""
    return " ".join(safe_text(text).split())
