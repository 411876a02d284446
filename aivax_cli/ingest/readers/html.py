"""HTML, converted to Markdown: its main part, without scripts, styles, navigation and hidden elements."""

from __future__ import annotations

import html
import re
from typing import Final

from aivax_cli.ingest.documents import Document, Found
from aivax_cli.ingest.readers.conversion import convert, has_words, usable_title
from aivax_cli.ingest.readers.text import cleaned, decode
from aivax_cli.ingest.readers.tidy import tidied
from aivax_cli.ingest.structure import markdown_title, outside_fences

_CHARSET: Final = re.compile(
    rb"""<meta\b[^<>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE
)
_TITLE: Final = re.compile(r"<title\b[^<>]*>([^<]{0,2000})", re.IGNORECASE)
_MAIN_START: Final = re.compile(r"<main\b[^<>]*>", re.IGNORECASE)
_MAIN_END: Final = re.compile(r"</main\s*>", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]*>")
_FEWEST_MAIN_LETTERS: Final = 40
_IMAGE: Final = re.compile(r"!\[([^\[\]]*)\]\([^()]*\)")
_LINK: Final = re.compile(r"\[([^\[\]]*)\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:[ \t]+\"[^\"\n]*\")?\)")
_KEPT_TARGET: Final = re.compile(r"https?://|mailto:", re.IGNORECASE)
_PERMALINKS: Final = frozenset({"", "¶", "#", "§", "🔗"})


def read_html(found: Found, kind: str) -> Document:
    """The page as Markdown. Raises IngestError when it cannot be converted."""
    data = found.path.read_bytes()
    declared = _CHARSET.search(data[:4096])
    text, warnings = decode(data, declared[1].decode("ascii") if declared else None)
    page = cleaned(text)
    title = _TITLE.search(page)
    result = convert(_visible(page).encode(), "text/html", found.name)
    markdown = outside_fences(cleaned(result.content), _without_targets)
    if not has_words(markdown):
        warnings = (*warnings, "no text found; a page that a script fills?")
    named = usable_title(html.unescape(title[1])) if title else None
    return Document(
        name=found.name,
        title=named or markdown_title(markdown) or found.path.stem,
        text=markdown,
        kind=kind,
        lines_are_real=False,
        warnings=warnings,
    )


def _visible(page: str) -> str:
    """What stands in `<main>`, if the page has one with words in it; else the whole page. Tidied."""
    start = _MAIN_START.search(page)
    if start is not None:
        ends = [mark.start() for mark in _MAIN_END.finditer(page, start.end())]
        main = tidied(page[start.end() : ends[-1] if ends else len(page)], is_main=True)
        if sum(map(str.isalnum, _TAG.sub("", main))) >= _FEWEST_MAIN_LETTERS:
            return main
    return tidied(page, is_main=False)


def _without_targets(stretch: str) -> str:
    """Pictures become their descriptions; links keep their target only where it leads somewhere."""

    def link(mark: re.Match[str]) -> str:
        words, target = mark[1], mark[2]
        if words.strip() in _PERMALINKS:
            return ""
        return mark[0] if _KEPT_TARGET.match(target) and words != target else words

    return _LINK.sub(link, _IMAGE.sub(r"\1", stretch))
