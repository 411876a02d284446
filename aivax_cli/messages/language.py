"""The language that a person is spoken to in, and the translation of a text that is already put together.

The code is written in English. Where a text meets a person its translation is looked up: first the text as it
is, then the templates whose words it holds, `no gateway named '{}'`. English looks nothing up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from aivax_cli.messages.templates import HOLE, Templates

LANGUAGES = ("en", "pt")
_LONGEST = 4_000
"""Characters of a text that is looked up; what is longer was not written by this program."""
_DEEPEST = 4
_MOST_PARTS = 8
_MOST_LOOKUPS = 200
"""Parts of one text that are looked up: a text of many parts is mostly somebody else's."""
_LISTS = ((" · ", " · "), (", ", ", "), (" and ", " e "), (" or ", " ou "))
_ALONE = frozenset({"empty", "none"})
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
        found = self._known(text, inside) or self._clauses(text, inside)
        if found is None and not prefixed:
            found = self._after_a_colon(text, inside)
        return found or self._list(text, inside)

    def _known(self, text: str, inside: int) -> str | None:
        if text in self._exact:
            return self._exact[text]
        self._looked_up += 1
        if self._looked_up > _MOST_LOOKUPS:
            return None
        for template in self._templates.candidates(text):
            values = template.match(text)
            if values is None:
                continue
            said = [self.line(value, inside=inside + 1) if free else None for value, free in values]
            pairs = [*zip(said, (value for value, _ in values), strict=True)]
            if all(new or template.fits(old) for new, old in pairs):
                return template.filled([new or old for new, old in pairs])
        return None

    def _clauses(self, text: str, inside: int) -> str | None:
        """`what is wrong; how to mend it`: the longest runs of clauses that are known."""
        parts = text.split("; ", _MOST_PARTS)
        if len(parts) == 1:
            return None
        said: list[str] = []
        known, start = False, 0
        while start < len(parts):
            run, found, end = self._longest_run(parts, start, inside)
            said.append(found or run)
            known = known or found is not None
            start = end
        return "; ".join(said) if known else None

    def _longest_run(self, parts: Sequence[str], start: int, inside: int) -> tuple[str, str | None, int]:
        for end in range(len(parts), start + 1, -1):
            run = "; ".join(parts[start:end])
            found = self._known(run, inside) if end - start < len(parts) else None
            if found is not None:
                return run, found, end
        return parts[start], self.line(parts[start], inside=inside + 1), start + 1

    def _after_a_colon(self, text: str, inside: int) -> str | None:
        """`place: message`, the place as it is."""
        start = 0
        for _ in range(_MOST_PARTS):
            start = text.find(": ", start) + 2
            if start == 1:
                return None
            found = self.line(text[start:], inside=inside + 1, prefixed=True)
            if found is not None:
                place = text[: start - 2]
                return f"{self.line(place, inside=inside + 1, prefixed=True) or place}: {found}"
        return None

    def _list(self, text: str, inside: int) -> str | None:
        """`one · two`, `one, two`, `one and two`."""
        for separator, said in _LISTS:
            parts = text.split(separator, 2 * _MOST_PARTS)
            if len(parts) > 1:
                found = [self._known(part, inside) for part in parts]
                if all(found) or (separator == " · " and any(found)):
                    return said.join(new or old for new, old in zip(found, parts, strict=True))
        return None


def _in_place(text: str, said: str) -> str:
    """A translation with the blanks that stood around the text."""
    inner = text.strip()
    if not inner or said == text:
        return text
    start = text.index(inner)
    return text[:start] + said + text[start + len(inner) :]
