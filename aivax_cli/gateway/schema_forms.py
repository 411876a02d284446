"""The short form of a JSON Schema: `name, age int, bio: the person's bio`. Pure.

The form is that of the `llm` tool's concise schema syntax (https://llm.datasette.io/en/stable/schemas.html):
fields separated by commas, or by line ends where there are any; a type after the name, a description after a
colon. Here the object is closed: whoever lists the fields wants those.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Final

from aivax_cli.core.errors import UsageError
from aivax_cli.core.types import JsonValue

_TYPES: Final[Mapping[str, str]] = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_NAME: Final = re.compile(r"[\w$-]+")
_SHOWN: Final = 40


def short_form(text: str) -> dict[str, JsonValue]:
    """The JSON Schema of an object with these fields, all of them required.

    Raises UsageError, in one line, for what is no such list.
    """
    separator = "\n" if "\n" in text.strip() else ","
    listed = [_field(part.strip()) for part in text.split(separator) if part.strip()]
    if not listed:
        raise UsageError("names no field", fix="write them like: name, age int, bio: who it is")
    names = [name for name, _ in listed]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"'{twice}' is named twice")
    return {
        "type": "object",
        "properties": dict(listed),
        "required": names,
        "additionalProperties": False,
    }


def _field(part: str) -> tuple[str, dict[str, JsonValue]]:
    head, _, description = part.partition(":")
    words = head.split()
    if not words:
        raise UsageError(f"'{part[:_SHOWN]}' has no name before the colon")
    if len(words) > 2:
        raise UsageError(
            f"'{head[:_SHOWN].strip()}' is more than a name and a type",
            fix="write a description after a colon; with commas in it, one field a line",
        )
    if not _NAME.fullmatch(words[0]):
        raise UsageError(
            f"'{words[0][:_SHOWN]}' is no name of a field", fix="use letters, digits, '_' and '-'"
        )
    field: dict[str, JsonValue] = {"type": _type(words[1]) if len(words) == 2 else "string"}
    return words[0], field | ({"description": description.strip()} if description.strip() else {})


def _type(word: str) -> str:
    if word not in _TYPES:
        near = difflib.get_close_matches(word, _TYPES, n=1, cutoff=0.3)
        fix = f"did you mean '{near[0]}'?" if near else f"choose one of: {', '.join(_TYPES)}"
        raise UsageError(f"unknown type '{word[:_SHOWN]}'", fix=fix)
    return _TYPES[word]
