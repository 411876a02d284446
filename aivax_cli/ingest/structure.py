"""Where a document's sections begin. Pure: text in, places out.

Headings are those of CommonMark 0.31 (ATX and setext), read with regular expressions in one pass, since a
full parser takes seconds for a megabyte of list items. Two deliberate differences: a fence may stand at any
depth of indentation, because its comment lines must never become headings; and a setext underline counts
only below a paragraph of one line, because `---` is more often a rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

_FRONT_MATTER: Final = re.compile(r"\A---[ \t]*\n(.{0,20000}?\n)??(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE: Final = re.compile(r"^title:[ \t]*(\S.*)$", re.MULTILINE)
_MARKS: Final = re.compile(
    r"^(?:"
    r"[ ]{0,3}(?P<hashes>#{1,6})(?P<heading>[ \t][^\n]*)?"
    r"|[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)"
    r"|[ ]{0,3}(?P<underline>=+|-+)[ \t]*"
    r")$",
    re.MULTILINE,
)
_RST_HEADING: Final = re.compile(
    r"^(?:(?P<over>([=\-`:.'\"~^_*+#])\2{2,})[ \t]*\n)?"
    r"(?P<words>[^\n]+)\n"
    r"(?P<under>([=\-`:.'\"~^_*+#])\5{2,})[ \t]*$",
    re.MULTILINE,
)
_BREAKS: Final = re.compile(
    r"^(?:(?P<blank>(?:[ \t]*\n)+)"
    r"|[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)$)",
    re.MULTILINE,
)
_FENCES: Final = re.compile(
    r"^[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)$", re.MULTILINE
)
_CLOSING_HASHES: Final = re.compile(r"(?:^|[ \t]+)#+[ \t]*$")
_PARAGRAPH: Final = re.compile(r" {0,3}(?![-*+>|#=<]|\d{1,9}[.)][ \t]|`{3}|~{3})\S")
_LINK: Final = re.compile(r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:[ \t]+\"[^\"]*\")?\)|\[[^\[\]]*\])")
_ATTRIBUTES: Final = re.compile(r"[ \t]*\{[#.:][^{}]*\}$")
_MARKUP: Final = re.compile(r"\\([!-/:-@\[-`{-~])|`+|\*+|(?<!\w)_+|_+(?!\w)")


class Heading(Struct, frozen=True):
    """A heading that begins at character `start`. `level` is 1 to 6, `text` without markup."""

    start: int
    level: int
    text: str


def front_matter(text: str) -> tuple[int, str | None]:
    """Characters that a leading YAML block takes (0 without one), and the title it names."""
    block = _FRONT_MATTER.match(text)
    if block is None:
        return 0, None
    title = _FRONT_TITLE.search(block.group())
    return block.end(), title.group(1).strip().strip("'\"").strip() or None if title else None


def markdown_headings(text: str) -> list[Heading]:
    """The headings of a Markdown text in order, those in fenced code and front matter left out."""
    return list(_headings(text))


def markdown_title(text: str) -> str | None:
    """The title that a Markdown text gives itself: in front matter, else its only level-1 heading."""
    _, named = front_matter(text)
    if named is not None:
        return named
    top = [heading.text for heading in _headings(text) if heading.level == 1]
    return top[0] or None if len(top) == 1 else None


def rst_headings(text: str) -> list[Heading]:
    """The headings of a reStructuredText, their levels in the order in which their adornments appear."""
    found: list[Heading] = []
    levels: dict[tuple[str, bool], int] = {}
    for mark in _RST_HEADING.finditer(text):
        over, words, under = mark["over"], mark["words"], mark["under"]
        if len(under) < len(words.rstrip()) or (over and over != under) or not any(map(str.isalnum, words)):
            continue
        level = levels.setdefault((under[0], bool(over)), len(levels) + 1)
        found.append(Heading(mark.start(), min(level, 6), " ".join(words.split())))
    return found


def blocks(text: str) -> list[tuple[int, int]]:
    """Stretches of Markdown that blank lines part, with the blank lines after them; fenced code is whole."""
    found: list[tuple[int, int]] = []
    start, fence = 0, ""
    for mark in _BREAKS.finditer(text):
        if mark["fence"]:
            fence = _fence_after(fence, mark)
        elif not fence:
            found.append((start, mark.end()))
            start = mark.end()
    if start < len(text):
        found.append((start, len(text)))
    return found


def outside_fences(text: str, rewrite: Callable[[str], str]) -> str:
    """`text` with `rewrite` done to all but its fenced code."""
    parts: list[str] = []
    start, fence = 0, ""
    for mark in _FENCES.finditer(text):
        after = _fence_after(fence, mark)
        if not fence and after:
            parts.append(rewrite(text[start : mark.start()]))
            start = mark.start()
        elif fence and not after:
            parts.append(text[start : mark.end()])
            start = mark.end()
        fence = after
    rest = text[start:]
    return "".join([*parts, rest if fence else rewrite(rest)])


def _headings(text: str) -> Iterator[Heading]:
    fence = ""
    body_start, _ = front_matter(text)
    for mark in _MARKS.finditer(text, body_start):
        if mark["fence"]:
            fence = _fence_after(fence, mark)
        elif fence:
            continue
        elif mark["hashes"]:
            words = _CLOSING_HASHES.sub("", (mark["heading"] or "").strip())
            yield Heading(mark.start(), len(mark["hashes"]), plain(words))
        else:
            above = _paragraph_line(text, body_start, mark.start())
            if above is not None:
                start, words = above
                yield Heading(start, 1 if mark["underline"][0] == "=" else 2, plain(words))


def _fence_after(fence: str, mark: re.Match[str]) -> str:
    """The fence that is open after a line that looks like one; "" when none is."""
    marks, info = mark["fence"], mark["info"]
    if fence:
        closes = marks[0] == fence[0] and len(marks) >= len(fence) and not info.strip()
        return "" if closes else fence
    return "" if marks[0] == "`" and "`" in info else marks


def _paragraph_line(text: str, floor: int, underline_start: int) -> tuple[int, str] | None:
    """The one-line paragraph right above an underline: where it starts, and its words."""
    end = underline_start - 1
    if end <= floor:
        return None
    start = max(text.rfind("\n", floor, end) + 1, floor)
    line = text[start:end]
    if not _PARAGRAPH.match(line):
        return None
    if start > floor:
        before = text[max(text.rfind("\n", floor, start - 1) + 1, floor) : start - 1]
        if before.strip() and not before.lstrip(" ").startswith("#"):
            return None
    return start, line.strip()


def plain(words: str) -> str:
    """A heading's words as a reader sees them: no emphasis, code marks, link targets or attributes."""
    words = _ATTRIBUTES.sub("", words)
    words = _LINK.sub(r"\1", words)
    return " ".join(_MARKUP.sub(r"\1", words).split())
