"""The language that a person is spoken to in, and the translation of a text that is already put together.

The code is written in English. Where a text meets a person its translation is looked up: first the text as it
is, then the templates whose words it holds, `no gateway named '{}'`. English looks nothing up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from aivax_cli.messages.templates import Template, templates

LANGUAGES = ("en", "pt")
_LONGEST = 4_000
"""Characters of a text that is looked up; what is longer was not written by this program."""
_DEEPEST = 4
_MOST_PARTS = 8
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


@dataclass(frozen=True, slots=True)
class _Depth:
    """How far inside of another text a part stands, and whether what stands before a colon is taken off."""

    inside: int = 0
    prefixed: bool = False

    def deeper(self, *, prefixed: bool = False) -> _Depth:
        return _Depth(self.inside + 1, prefixed or self.prefixed)


class Catalogue:
    """English → another language."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._exact = {text: said for text, said in texts.items() if "{}" not in text}
        self._templates: Sequence[Template] = templates(texts)

    def translate(self, text: str) -> str:
        """Line by line; a text of which nothing is known is returned as it is."""
        if len(text) > _LONGEST:
            return text
        whole = self._exact.get(text.strip())
        if whole is not None:
            return _in_place(text, whole)
        return "\n".join(
            _in_place(line, self._line(line.strip(), _Depth()) or line) for line in text.split("\n")
        )

    def _line(self, text: str, depth: _Depth) -> str | None:
        """The translation, None where nothing of the text is known."""
        if not text or depth.inside > _DEEPEST:
            return None
        if depth.inside and " " not in text and text not in _ALONE:
            return None
        found = self._known(text, depth)
        if found is None:
            found = self._clauses(text, depth)
        if found is None and not depth.prefixed:
            found = self._after_a_colon(text, depth)
        if found is None:
            found = self._list(text, depth)
        return found

    def _known(self, text: str, depth: _Depth) -> str | None:
        if text in self._exact:
            return self._exact[text]
        for template in self._templates:
            values = template.match(text)
            if values is None:
                continue
            said = [self._line(value, depth.deeper()) if free else None for value, free in values]
            if all(new or template.fits(old) for new, (old, _) in zip(said, values, strict=True)):
                return template.filled([new or old for new, (old, _) in zip(said, values, strict=True)])
        return None

    def _clauses(self, text: str, depth: _Depth) -> str | None:
        """`what is wrong; how to mend it`: the longest runs of clauses that are known."""
        parts = text.split("; ", _MOST_PARTS)
        if len(parts) == 1:
            return None
        said: list[str] = []
        known, start = False, 0
        while start < len(parts):
            for end in range(len(parts), start, -1):
                run = "; ".join(parts[start:end])
                found = self._known(run, depth) if end - start < len(parts) else None
                if found is None and end == start + 1:
                    found = self._after_a_colon(run, depth) or self._list(run, depth)
                if found is not None or end == start + 1:
                    said.append(found or run)
                    known = known or found is not None
                    start = end
                    break
        return "; ".join(said) if known else None

    def _after_a_colon(self, text: str, depth: _Depth) -> str | None:
        """`place: message`, the place as it is."""
        start = 0
        for _ in range(_MOST_PARTS):
            start = text.find(": ", start) + 2
            if start == 1:
                return None
            found = self._line(text[start:], depth.deeper(prefixed=True))
            if found is not None:
                before = self._line(text[: start - 2], depth.deeper(prefixed=True)) or text[: start - 2]
                return f"{before}: {found}"
        return None

    def _list(self, text: str, depth: _Depth) -> str | None:
        """`one · two`, `one, two`, `one and two`."""
        for separator, said in ((" · ", " · "), (", ", ", "), (" and ", " e "), (" or ", " ou ")):
            parts = text.split(separator, 2 * _MOST_PARTS)
            if len(parts) > 1:
                found = [self._known(part, depth) for part in parts]
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
