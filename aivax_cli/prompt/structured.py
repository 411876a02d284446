"""Reading JSON out of an answer, checking it against a schema, and asking for it again. Pure."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, SupportsIndex

from msgspec import Struct

from aivax_cli.core.types import JsonValue
from aivax_cli.prompt.schema_checks import printable, problems_of
from aivax_cli.prompt.schema_wire import WRAPPED, is_object

_FENCE: Final = re.compile(r"```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
_THOUGHT: Final = "</think>"
_STARTS: Final = re.compile(r"[{\[]")
_MOST_STARTS: Final = 64
"""Places in a text at which a value is looked for: prose may be full of brackets."""
_LONGEST_REPAIR: Final = 100_000
_REPAIR_S: Final = 1.0
_SHOWN: Final = 120


class Accepted(Struct, frozen=True):
    """The value that an answer holds, sound by the schema."""

    value: JsonValue


class Rejected(Struct, frozen=True):
    """Why an answer is not accepted, a line each."""

    problems: tuple[str, ...]


def judged(
    text: str, schema: Mapping[str, Any], *, prefill: str = "", whole: bool = True
) -> Accepted | Rejected:
    """The first value in an answer that holds to the schema, or what is wrong with the likeliest.

    Looked for in this order: the whole text, its fenced blocks, the objects and arrays in it, then the
    same as `json-repair` mends them. `prefill` may be part of the text, or said again by it. A text that is
    not `whole` is not mended: what would come out might be sound, and yet not all that there was to say.
    """
    likeliest: tuple[str, ...] = ()
    settled = False
    for candidate in _distinct(_candidates(text, prefill, mend=whole)):
        for value in _unwrapped(candidate, schema):
            problems = problems_of(value, schema)
            if not problems:
                return Accepted(_printable(value))
            # `[1]` in the prose before an object is a citation, no attempt at the object.
            meant = isinstance(value, Mapping) or not is_object(schema)
            if not likeliest or (meant and not settled):
                likeliest, settled = problems, meant
    return Rejected(likeliest or (_nothing_in(text),))


def canonical(value: JsonValue) -> str:
    """The value as it is shown: JSON over several lines, letters as they are."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def ask_again(problems: Sequence[str]) -> str:
    """What the model is told of an answer that does not hold to the schema."""
    listed = "\n".join(f"- {problem}" for problem in problems)
    return (
        f"Your answer was not accepted:\n{listed}\n\n"
        "Answer again with the corrected JSON, whole, and nothing else."
    )


def _unwrapped(value: JsonValue, schema: Mapping[str, Any]) -> Iterator[JsonValue]:
    """What a value may mean: where the schema is of no object, the field of the object that was asked for."""
    if not is_object(schema) and isinstance(value, Mapping) and set(value) == {WRAPPED}:
        yield value[WRAPPED]
    yield value


def _candidates(text: str, prefill: str, *, mend: bool) -> Iterator[JsonValue]:
    """The values in a text, likeliest first, the same one perhaps several times."""
    spoken = text.rpartition(_THOUGHT)[2].strip().removeprefix("\ufeff")
    texts = [spoken]
    if prefill and text.startswith(prefill):
        # An endpoint that says the prefill again has begun twice.
        texts.append(text[len(prefill) :].strip())
    blocks = [block for each in texts for block in _fenced(each)]
    for whole in (*texts, *blocks):
        yield from _loaded(whole)
    for each in texts:
        yield from _embedded(each)
    for broken in (*blocks, *texts) if mend else ():
        yield from _repaired(broken)


def _fenced(text: str) -> list[str]:
    """The content of its fenced blocks, those that call themselves JSON first."""
    found = [(match[1].lower(), match[2]) for match in _FENCE.finditer(text)]
    return [block for _, block in sorted(found, key=lambda each: not each[0].startswith("json"))]


def _loaded(text: str) -> Iterator[JsonValue]:
    try:
        yield _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        return


def _embedded(text: str) -> Iterator[JsonValue]:
    """The objects and arrays in running text, one after the other."""
    place, tried = 0, 0
    while tried < _MOST_STARTS and (start := _STARTS.search(text, place)):
        tried += 1
        try:
            value, place = _DECODER.raw_decode(text, start.start())
            yield value
        except (ValueError, RecursionError):
            place = start.start() + 1


def _repaired(text: str) -> Iterator[JsonValue]:
    """What stands from the first bracket on, mended."""
    start = _STARTS.search(text)
    if start is None or len(text) - start.start() > _LONGEST_REPAIR:
        return
    import json_repair

    try:
        broken = _Timed(text[start.start() :])
        broken.deadline = time.monotonic() + _REPAIR_S
        mended = json_repair.loads(broken, skip_json_loads=True)
        # Mended values may be what JSON cannot write.
        value = _DECODER.decode(json.dumps(mended))
    except (TimeoutError, ValueError, RecursionError, TypeError):
        return
    # `{no json` is mended to a list of these words.
    if isinstance(value, dict if start[0] == "{" else list):
        yield value


class _Timed(str):
    """A text that can be read until its deadline, and raises TimeoutError after that.

    What `json-repair` 0.64 does with thousands of open brackets takes it minutes.
    """

    deadline = 0.0

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        if time.monotonic() > self.deadline:
            raise TimeoutError
        found = super().__getitem__(key)
        return self._like(found) if isinstance(key, slice) else found

    def __radd__(self, before: str) -> str:
        return self._like(before + str(self))

    def _like(self, text: str) -> _Timed:
        timed = _Timed(text)
        timed.deadline = self.deadline
        return timed


def _distinct(values: Iterator[JsonValue]) -> Iterator[JsonValue]:
    seen: list[JsonValue] = []
    for value in values:
        if not any(type(value) is type(other) and value == other for other in seen):
            seen.append(value)
            yield value


def _nothing_in(text: str) -> str:
    if not text.strip():
        return "it is empty"
    begins = printable(" ".join(text.split()))
    begins = begins if len(begins) <= _SHOWN else begins[: _SHOWN - 1] + "…"
    return f"it holds no JSON; it begins: {begins}"


def _printable(value: Any) -> Any:
    """The same without half surrogate pairs, which no UTF-8 can hold."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_printable(item) for item in value]
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:_SHOWN]} is beyond what JSON can be read back as")
    return number


_DECODER: Final = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite)
