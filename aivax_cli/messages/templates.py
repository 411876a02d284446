"""Templates: a text with `{}` where values stand, matched against a text that has them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

HOLE = "{}"
_PLACE = re.compile(r"\{(\d)\}")
_QUOTES = "'\"`“"
_FEW_LETTERS = 12
_HARDLY_ANY = 6
_EDGE = 4
_FEW_WORDS = 3


class Template(Struct, frozen=True):
    """A text in English and in another language: `fragments` stand around the values."""

    fragments: tuple[str, ...]
    said: tuple[str | int, ...]
    """The translation: words, and the numbers of the values."""
    letters: int

    def match(self, text: str) -> list[tuple[str, bool]] | None:
        """The values that make this text of the template; None for another text.

        With each value stands whether it may be a text of its own: what is quoted is a name.
        """
        first, *middle, last = self.fragments
        if not (text.startswith(first) and text.endswith(last)):
            return None
        start, end = len(first), len(text) - len(last)
        values = []
        for fragment in (*middle, None):
            stop = end if fragment is None else text.find(fragment, start, end)
            if stop < start:
                return None
            values.append(text[start:stop])
            start = stop + len(fragment or "")
        return [(value, not self._quoted(number)) for number, value in enumerate(values)]

    def fits(self, value: str) -> bool:
        """Whether an unknown text may be the first value: not where the template says little, and it much."""
        is_name = value[:1] in _QUOTES and value[-1:] in _QUOTES
        if is_name or self.fragments[0] or self.letters >= _FEW_LETTERS:
            return True
        return value.count(" ") < (_FEW_WORDS if self.letters > _HARDLY_ANY else 1) and ", " not in value

    def filled(self, values: Sequence[str]) -> str:
        """The translation with these values."""
        return "".join(part if isinstance(part, str) else values[part] for part in self.said)

    def _quoted(self, number: int) -> bool:
        return self.fragments[number][-1:] in _QUOTES and self.fragments[number] != ""


class Templates:
    """Templates by how they begin or end, so that few are looked at for a text."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        found = [_template(text, said) for text, said in texts.items() if HOLE in text]
        # Those that say most by themselves come first.
        found.sort(key=lambda each: (-each.letters, -sum(map(len, each.fragments)), each.fragments))
        self._by_edge: dict[tuple[str, str], list[tuple[int, Template]]] = {}
        for rank, template in enumerate(found):
            first, last = template.fragments[0], template.fragments[-1]
            edge = (first[:_EDGE], "") if len(first) >= _EDGE else (first[:1], last[-1:])
            self._by_edge.setdefault(edge, []).append((rank, template))

    def candidates(self, text: str) -> list[Template]:
        """The templates that the text may be of, in the order in which they are to be tried."""
        start, end = text[:1], text[-1:]
        edges = ((text[:_EDGE], ""), (start, end), (start, ""), ("", end), ("", ""))
        ranked = [each for edge in dict.fromkeys(edges) for each in self._by_edge.get(edge, ())]
        return [template for _, template in sorted(ranked, key=_rank)]


def _rank(ranked: tuple[int, Template]) -> int:
    return ranked[0]


def places(said: str) -> list[int]:
    """The numbers of the values in a translation, in its order."""
    return [int(number) for number in _PLACE.findall(said)]


def _template(text: str, said: str) -> Template:
    fragments = tuple(text.split(HOLE))
    parts: list[str | int] = []
    for number, part in enumerate(_PLACE.split(said)):
        parts += [int(part)] if number % 2 else [part]
    return Template(fragments, tuple(parts), sum(map(str.isalpha, text)))
