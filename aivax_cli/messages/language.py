"""The language that a person is spoken to in, and the translation of a text that is already put together.

The code is written in English. Where a text meets a person its translation is looked up: first the text as it
is, then the templates whose words it holds, `no gateway named '{}'`. English looks nothing up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from aivax_cli.messages.templates import HOLE, Templates

LANGUAGES = ("en", "pt")
_LONGEST = 4_000
"""Characters of a text that is looked up; what is longer was not written by this program."""
_DEEPEST = 4
_SENTENCE = 3
"""Blanks from which on a value is most likely a sentence: a template under which it is known is better."""
_MOST_PARTS = 8
_MOST_LOOKUPS = 200
"""Parts of one text that are looked up: a text of many parts is mostly somebody else's."""
_LISTS = ((" · ", " · "), (", ", ", "), (" and ", " e "), (" or ", " ou "))
_ALONE = frozenset({"empty", "none", "rewrite", "rewriting"})
"""Single words that are translated where they are another text's value. Others may be somebody's names."""


def chosen_language(environ: Mapping[str, str]) -> str:
    """`AIVAX_LANG`, else what the system's variables say, as far as this program speaks it: `en` or `pt`."""
    for variable in ("AIVAX_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if said := environ.get(variable, "").strip().lower():
            code = said[:2] if not said[2:3].isalnum() else ""
            return code if code in LANGUAGES else "en"
    return "en"


class Language:
    """A language by its code. The catalogue is read when the first text is looked up, for English never."""

    def __init__(self, code: str = "en") -> None:
        self.code = code

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Language:
        """The language that these environment variables ask for."""
        return cls(chosen_language(environ))

    @property
    def is_english(self) -> bool:
        return self.code == "en"

    def translate(self, text: str) -> str:
        """The text in this language. What is not known, or only in part, stays as it is, in that part."""
        if self.is_english or not text:
            return text
        return self._catalogue.translate(text)

    @cached_property
    def _catalogue(self) -> Catalogue:
        from aivax_cli.messages.catalogue import read_catalogue

        return Catalogue(read_catalogue("libraries_" + self.code) | read_catalogue(self.code))


ENGLISH = Language()


class Catalogue:
    """English → another language."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._exact = {text: said for text, said in texts.items() if HOLE not in text}
        self._templates = Templates(texts)

    def translate(self, text: str) -> str:
        """Line by line; a text of which nothing is known is returned as it is."""
        if len(text) > _LONGEST:
            return text
        whole = self._exact.get(text.strip())
        if whole is not None:
            return _in_place(text, whole)
        search = _Search(self._exact, self._templates)
        return "\n".join(_in_place(line, search.line(line.strip()) or line) for line in text.split("\n"))


class _Search:
    """One text's translation. What was looked up once is remembered, and there is an end to looking."""

    def __init__(self, exact: Mapping[str, str], templates: Templates) -> None:
        self._exact = exact
        self._templates = templates
        self._found: dict[tuple[str, bool], str | None] = {}
        self._in_part: set[str] = set()
        self._looked_up = 0

    def line(self, text: str, *, inside: int = 0, prefixed: bool = False) -> str | None:
        """The translation, None where nothing of the text is known.

        `inside` says how far inside of another text it stands, `prefixed` that it stood behind a colon there.
        """
        if not text or inside > _DEEPEST:
            return None
        if inside and " " not in text and text not in _ALONE:
            return None
        if (text, prefixed) not in self._found:
            self._found[text, prefixed] = None  # a text that leads to itself is unknown
            self._found[text, prefixed] = self._read(text, inside, prefixed)
        return self._found[text, prefixed]

    def _read(self, text: str, inside: int, prefixed: bool) -> str | None:
        clauses = self._parts(text, "; ", inside, prefixed=prefixed)
        if clauses and all(clauses):
            return self._put_together(text, "; ", clauses)
        if found := self._known(text, inside):
            return found
        return (
            self._put_together(text, "; ", clauses)
            or self._after_a_colon(text, inside, prefixed)
            or self._list(text, inside)
            or self._counted(text, inside)
            or self._with_a_remark(text, inside)
        )

    def _known(self, text: str, inside: int) -> str | None:
        if text in self._exact:
            return self._exact[text]
        self._looked_up += 1
        if self._looked_up > _MOST_LOOKUPS:
            return None
        in_part = None
        for template in self._templates.candidates(text):
            values = template.match(text)
            if values is None:
                continue
            said = [self.line(value, inside=inside + 1) if free else None for value, free in values]
            pairs = [*zip(said, (value for value, _ in values), strict=True)]
            # Before a template's few words, only what is a text by itself may be long.
            first, began = pairs[0]
            if template.fits(began) or (first and began not in self._in_part):
                filled = template.filled([new or old for new, old in pairs])
                if self._is_whole(pairs):
                    return filled
                in_part = in_part or filled
        if in_part is not None:
            self._in_part.add(text)
        return in_part

    def _is_whole(self, pairs: Iterable[tuple[str | None, str]]) -> bool:
        """Whether no sentence is left as it was: what is short is somebody's name."""
        return all(old not in self._in_part if new else old.count(" ") < _SENTENCE for new, old in pairs)

    def _note_what_is_left(self, text: str, pairs: Iterable[tuple[str | None, str]]) -> None:
        """Remembers a text of which a sentence stays as it was."""
        if not self._is_whole(pairs):
            self._in_part.add(text)

    def _put_together(self, text: str, separator: str, found: Sequence[str | None]) -> str | None:
        """The parts again, with what is known of them translated."""
        if not any(found):
            return None
        pairs = [*zip(found, text.split(separator), strict=True)]
        self._note_what_is_left(text, pairs)
        return separator.join(new or old for new, old in pairs)

    def _parts(self, text: str, separator: str, inside: int, *, prefixed: bool) -> list[str | None]:
        """The translation of each part, None for what is unknown; nothing for one part, or far too many."""
        parts = text.split(separator)
        if not 1 < len(parts) <= _MOST_PARTS:
            return []
        # A clause may be a single word: nobody's name stands between semicolons.
        exact = self._exact if separator == "; " else {}
        return [exact.get(each) or self.line(each, inside=inside + 1, prefixed=prefixed) for each in parts]

    def _after_a_colon(self, text: str, inside: int, prefixed: bool) -> str | None:
        """`place: message: value`: the place and the value as they are."""
        found = [] if prefixed else self._parts(text, ": ", inside, prefixed=True)
        # What stands behind the first colons may have a colon of its own.
        start = 0
        for _ in range(len(found) - 2):
            start = text.index(": ", start) + 2
            behind = text[start:]
            if rest := self._known(behind, inside):
                place = text[: start - 2]
                said = self.line(place, inside=inside + 1, prefixed=True)
                self._note_what_is_left(text, ((rest, behind), (said, place)))
                return f"{said or place}: {rest}"
        return self._put_together(text, ": ", found)

    def _counted(self, text: str, inside: int) -> str | None:
        """`3 documents that …`"""
        count, _, rest = text.partition(" ")
        found = self.line(rest, inside=inside + 1) if count[:1].isdigit() else None
        self._note_what_is_left(text, ((found, rest),))
        return f"{count} {found}" if found else None

    def _with_a_remark(self, text: str, inside: int) -> str | None:
        """`message (remark)`"""
        head, bracket, remark = text.removesuffix(")").partition(" (")
        if not bracket or not text.endswith(")"):
            return None
        found = [self.line(part, inside=inside + 1) for part in (head, remark)]
        self._note_what_is_left(text, zip(found, (head, remark), strict=True))
        return f"{found[0] or head} ({found[1] or remark})" if any(found) else None

    def _list(self, text: str, inside: int) -> str | None:
        """`one · two`, `one, two`, `one and two`."""
        for separator, said in _LISTS:
            parts = text.split(separator, 2 * _MOST_PARTS)
            if len(parts) > 1:
                found = [self._known(part, inside) for part in parts]
                if all(found) or (separator == " · " and any(found)):
                    self._note_what_is_left(text, zip(found, parts, strict=True))
                    return said.join(new or old for new, old in zip(found, parts, strict=True))
        return None


def _in_place(text: str, said: str) -> str:
    """A translation with the blanks that stood around the text."""
    inner = text.strip()
    if not inner or said == text:
        return text
    start = text.index(inner)
    return text[:start] + said + text[start + len(inner) :]
