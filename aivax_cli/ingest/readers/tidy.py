"""HTML as written becomes HTML that a converter cannot misread: balanced, shallow, without what nobody sees.

Kreuzberg 4.10.4 needs that. It takes `<p>` without `</p>`, which HTML allows, for nesting; drops in silence
what lies 64 elements deep; drops whole forms, which some sites put around every page; and takes minutes for
a megabyte of `<script>`. The tags here are those of the HTML standard, and so are the rules by which one
ends another (https://html.spec.whatwg.org/#optional-tags). Time is proportional to the text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

_MARKUP: Final = re.compile(
    r"<(?:(?P<comment>!--)|[!?][^<>]*>|(?P<end>/?)(?P<name>[A-Za-z][A-Za-z0-9:-]*)(?P<attributes>[^<>]*)>)"
)
_HIDDEN: Final = re.compile(
    r"""(?i)(?:^|\s)hidden(?=[\s=/]|$)(?!=["']?until)|aria-hidden\s*=\s*["']?true|role\s*=\s*["']?navigation"""
    r"""|style\s*=\s*["'][^"']*display\s*:\s*none"""
)
_RAW: Final = frozenset({"script", "style", "textarea", "title", "iframe", "xmp", "noembed", "noframes"})
_UNSEEN: Final = frozenset(
    {"template", "noscript", "svg", "math", "object", "select", "button", "datalist", "nav", "head"}
)
_AROUND: Final = frozenset({"footer", "aside"})  # unseen, unless within the page's main part
_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_KEPT_VOID: Final = frozenset({"br", "hr", "img"})
_INLINE: Final = frozenset(
    {"a", "b", "code", "del", "em", "i", "kbd", "q", "s", "samp", "strong", "sub", "sup"}
)
_BLOCKS: Final = frozenset(
    {
        *(
            "address",
            "article",
            "aside",
            "blockquote",
            "center",
            "details",
            "dialog",
            "div",
            "dl",
            "fieldset",
        ),
        *("figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup"),
        *("hr", "main", "menu", "nav", "ol", "p", "pre", "search", "section", "table", "ul"),
    }
)
_PARTS: Final = frozenset(
    {"li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "caption", "summary"}
)
_HEADINGS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_WITH_ATTRIBUTES: Final = frozenset({"a", "img", "code", "pre", "ol"})
_ROWS: Final = frozenset({"thead", "tbody", "tfoot"})
# What a start tag ends, and what it does not look beyond.
_ENDS: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "li": (frozenset({"li"}), frozenset({"ul", "ol", "menu"})),
    **dict.fromkeys(("dt", "dd"), (frozenset({"dt", "dd"}), frozenset({"dl"}))),
    **dict.fromkeys(("td", "th"), (frozenset({"td", "th"}), frozenset({"tr", "table"}))),
    "tr": (frozenset({"tr"}), frozenset({"table"})),
    **dict.fromkeys(_ROWS, (_ROWS | {"tr", "caption"}, frozenset({"table"}))),
    **dict.fromkeys(_HEADINGS, (_HEADINGS, _PARTS)),
}
_ENDS_PARAGRAPH: Final = (
    frozenset({"p"}),
    frozenset({"td", "th", "li", "dd", "blockquote", "button", "object"}),
)
_WRAPPERS: Final = _BLOCKS - {
    *(
        "blockquote",
        "details",
        "dl",
        "figcaption",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "menu",
        "ol",
        "p",
    ),
    *("pre", "table", "ul"),
}
_MOST_WRAPPERS: Final = 20  # shown inside one another; more of them become paragraph breaks
_MOST_SHOWN: Final = 40
_LOOK_BACK: Final = 100
_BREAK: Final = "<p></p>"


def tidied(page: str, *, is_main: bool) -> str:
    """The page's visible elements, each with its end. `is_main`: the page is a main part already."""
    tidy = _Tidy(_UNSEEN if is_main else _UNSEEN | _AROUND)
    at = 0
    while (mark := _MARKUP.search(page, at)) is not None:
        tidy.text(page[at : mark.start()])
        at = mark.end()
        if mark["comment"]:
            at = _after(page, re.compile("-->"), at)
        elif mark["name"]:
            name = mark["name"].lower()
            if mark["end"]:
                tidy.end(name)
            elif name in _RAW:
                at = _after(page, re.compile(f"</{name}[^<>]*>", re.IGNORECASE), at)
            else:
                tidy.start(name, mark["attributes"])
    tidy.text(page[at:])
    return tidy.finished()


def _after(page: str, closing: re.Pattern[str], at: int) -> int:
    """Where it goes on after `closing`; without one all the rest belongs to it, as in browsers."""
    found = closing.search(page, at)
    return len(page) if found is None else found.end()


class _Open(Struct, frozen=True):
    name: str
    shown: bool
    unseen: bool


class _Tidy:
    """The elements that are open, and what has been written."""

    def __init__(self, unseen: frozenset[str]) -> None:
        self._unseen_names = unseen
        self._open: list[_Open] = []
        self._names: Counter[str] = Counter()
        self._shown = 0
        self._unseen = 0
        self._out: list[str] = []

    def text(self, text: str) -> None:
        if text and not self._unseen:
            self._out.append(text.replace("<", "&lt;"))

    def start(self, name: str, attributes: str) -> None:
        self._end_implied(name)
        if name in _VOID:
            if name in _KEPT_VOID and not self._unseen:
                self._out.append(f"<{name}{attributes if name in _WITH_ATTRIBUTES else ''}>")
            return
        if attributes.endswith("/") and name in self._unseen_names:
            return
        unseen = name in self._unseen_names or _HIDDEN.search(attributes) is not None
        shown = not (unseen or self._unseen) and self._is_shown(name)
        if shown:
            self._out.append(f"<{name}{attributes if name in _WITH_ATTRIBUTES else ''}>")
        elif name in _BLOCKS and not self._unseen:
            self._out.append(_BREAK)
        self._open.append(_Open(name, shown, unseen))
        self._names[name] += 1
        self._shown += shown
        self._unseen += unseen

    def _is_shown(self, name: str) -> bool:
        if name in _WRAPPERS:
            return name != "form" and self._shown < _MOST_WRAPPERS
        return self._shown < _MOST_SHOWN and (name in _INLINE or name in _PARTS or name in _BLOCKS)

    def end(self, name: str) -> None:
        if not self._names[name]:
            return
        while self._close() != name:
            pass

    def finished(self) -> str:
        while self._open:
            self._close()
        return "".join(self._out)

    def _end_implied(self, name: str) -> None:
        """Ends what this start tag ends without saying so."""
        if name in _BLOCKS and self._names["p"]:
            self._end_up_to(*_ENDS_PARAGRAPH)
        if name in _ENDS:
            self._end_up_to(*_ENDS[name])

    def _end_up_to(self, ended: frozenset[str], beyond: frozenset[str]) -> None:
        """Ends the outermost open element of `ended` that no element of `beyond` hides."""
        outermost = None
        for depth in range(len(self._open) - 1, max(-1, len(self._open) - 1 - _LOOK_BACK), -1):
            if self._open[depth].name in beyond:
                break
            if self._open[depth].name in ended:
                outermost = depth
        while outermost is not None and len(self._open) > outermost:
            self._close()

    def _close(self) -> str:
        closed = self._open.pop()
        self._names[closed.name] -= 1
        self._shown -= closed.shown
        self._unseen -= closed.unseen
        if closed.shown:
            self._out.append(f"</{closed.name}>")
        elif closed.name in _BLOCKS and not self._unseen:
            self._out.append(_BREAK)
        return closed.name
