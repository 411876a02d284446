"""HTML, converted to Markdown: its main part, without scripts, styles, navigation and hidden elements."""

from __future__ import annotations

import html
import re
from typing import Final

from aivax_cli.ingest.documents import Document, Found
from aivax_cli.ingest.readers.conversion import convert, has_words, usable_title
from aivax_cli.ingest.readers.text import cleaned, decode
from aivax_cli.ingest.structure import markdown_title, outside_fences

_CHARSET: Final = re.compile(
    rb"""<meta\b[^<>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE
)
_TITLE: Final = re.compile(r"<title\b[^<>]*>([^<]{0,2000})", re.IGNORECASE)
_MAIN_START: Final = re.compile(r"<main\b[^<>]*>", re.IGNORECASE)
_MAIN_END: Final = re.compile(r"</main\s*>", re.IGNORECASE)
# Kreuzberg makes front matter of the head, and a heading of the front matter.
_HEAD_TAGS: Final = re.compile(r"<title\b[^<>]*>[^<]*</title\s*>|<(?:meta|link|base)\b[^<>]*>", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]*>")
_UNSEEN: Final = re.compile(r"<(script|style|template|noscript|svg)\b|<!--", re.IGNORECASE)
_CONTAINER: Final = re.compile(
    r"<(/?)(?:div|section|article|main|span|font|center|ul|ol|table|tbody|tr|blockquote|b|i|em|strong|details)\b",
    re.IGNORECASE,
)
_BLOCK_WRAPPER: Final = re.compile(r"</?(?:div|section|article|main|center)\b[^<>]*>", re.IGNORECASE)
_INLINE_WRAPPER: Final = re.compile(r"</?(?:span|font)\b[^<>]*>", re.IGNORECASE)
_IMAGE: Final = re.compile(r"!\[([^\[\]]*)\]\([^()]*\)")
_LINK: Final = re.compile(r"\[([^\[\]]*)\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:[ \t]+\"[^\"\n]*\")?\)")
_KEPT_TARGET: Final = re.compile(r"https?://|mailto:", re.IGNORECASE)
_PERMALINKS: Final = frozenset({"", "¶", "#", "§", "🔗"})
_DEEP: Final = 40
_FEWEST_MAIN_CHARACTERS: Final = 40
_LOST: Final = 0.3


def read_html(found: Found, kind: str) -> Document:
    """The page as Markdown. Raises IngestError when it cannot be converted."""
    data = found.path.read_bytes()
    declared = _CHARSET.search(data[:4096])
    text, warnings = decode(data, declared[1].decode("ascii") if declared else None)
    page = cleaned(text)
    title = _TITLE.search(page)
    markdown, lost = _markdown(_HEAD_TAGS.sub(" ", _main(page)), found.name)
    if lost:
        warnings = (*warnings, "nested too deeply to keep its structure")
    if not has_words(markdown):
        warnings = (*warnings, "no text found; a page that a script fills?")
    return Document(
        name=found.name,
        title=(usable_title(html.unescape(title[1])) if title else None)
        or markdown_title(markdown)
        or found.path.stem,
        text=markdown,
        kind=kind,
        lines_are_real=False,
        warnings=warnings,
    )


def _main(page: str) -> str:
    """What stands in `<main>`, if the page has one with words in it; else the whole page."""
    start = _MAIN_START.search(page)
    if start is None:
        return page
    end = start.end()
    for mark in _MAIN_END.finditer(page, start.end()):
        end = mark.start()
    main = page[start.end() : end]
    return main if _letters(_visible(main)) >= _FEWEST_MAIN_CHARACTERS else page


def _markdown(page: str, name: str) -> tuple[str, bool]:
    """The page as Markdown, and whether its structure had to go.

    Kreuzberg drops, in silence, what lies 64 elements deep or deeper. So a page that comes near it loses
    its wrappers first, and if that does not help, all its tags.
    """
    deep = _depth(page) > _DEEP
    if deep:
        page = _INLINE_WRAPPER.sub("", _BLOCK_WRAPPER.sub("<p>", page))
    navigation = {"enabled": True, "preset": "aggressive", "remove_navigation": True, "remove_forms": True}
    result = convert(page.encode(), "text/html", name, html_options={"preprocessing": navigation})
    markdown = outside_fences(cleaned(result.content), _without_targets)
    if deep:
        visible = _visible(page)
        if _letters(markdown) < _LOST * _letters(visible):
            return visible, True
    return markdown, False


def _without_targets(stretch: str) -> str:
    """Pictures become their descriptions; links keep their target only where it leads somewhere."""

    def link(mark: re.Match[str]) -> str:
        words, target = mark[1], mark[2]
        if words.strip() in _PERMALINKS:
            return ""
        return mark[0] if _KEPT_TARGET.match(target) and words != target else words

    described = _IMAGE.sub(lambda mark: "" if mark[1] == "SVG Image" else mark[1], stretch)
    return _LINK.sub(link, described)


def _depth(page: str) -> int:
    """How deep containers are nested, roughly: elements that nobody closes count too much."""
    depth = deepest = 0
    for tag in _CONTAINER.finditer(page):
        depth = max(0, depth - 1) if tag[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest


def _visible(page: str) -> str:
    """The words of a page without its tags, in time proportional to its length."""
    parts: list[str] = []
    at = 0
    while (mark := _UNSEEN.search(page, at)) is not None:
        parts.append(page[at : mark.start()])
        closing = re.compile(f"</{mark[1]}" if mark[1] else "-->", re.IGNORECASE)
        end = closing.search(page, mark.end())
        at = len(page) if end is None else end.start()
    parts.append(page[at:])
    words = html.unescape(_TAG.sub("\n", " ".join(parts)))
    return "\n".join(line for line in map(str.strip, words.split("\n")) if line)


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))
