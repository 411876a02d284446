"""A call's arguments: read from what the model wrote, and held against the tool's JSON Schema. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aivax_cli.core.errors import UsageError
from aivax_cli.tools.results import one_line

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

_MOST_FAULTS = 5
_LONGEST_FAULT = 300
_DEEPEST = 64
"""Levels of nesting: nothing sensible has more, and libraries below us give up at about 250."""


def read_arguments(text: str) -> dict[str, Any]:
    """The arguments as an object. Raises UsageError, worded for the model, when they are none."""
    try:
        value = json.loads(text.strip() or "{}", parse_constant=_no_number)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UsageError("the arguments hold half of a surrogate pair") from error
    except (ValueError, RecursionError) as error:
        raise UsageError("the arguments are not valid JSON") from error
    if not isinstance(value, dict):
        raise UsageError("the arguments must be a JSON object")
    if _deeper_than(value, _DEEPEST):
        raise UsageError(f"the arguments are nested more than {_DEEPEST} deep")
    return value


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _deeper_than(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_deeper_than(item, levels - 1) for item in inner)


class ArgumentCheck:
    """Holds arguments against one schema.

    `problem` says why the schema cannot be used, if it cannot: then every object passes. References are
    resolved within the schema alone; nothing is fetched.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        from jsonschema import Draft202012Validator, SchemaError
        from jsonschema.validators import validator_for
        from referencing import Registry

        self.problem = ""
        self._validator: Validator | None = None
        kind = validator_for(schema, default=Draft202012Validator)
        try:
            kind.check_schema(dict(schema))
            self._validator = kind(dict(schema), registry=Registry())
        except SchemaError as error:
            self.problem = _shortened(error.message)
        except Exception as error:  # noqa: BLE001 - a schema from elsewhere may break its own checker
            self.problem = type(error).__name__

    def faults(self, arguments: Mapping[str, Any]) -> tuple[str, ...]:
        """What is wrong with the arguments, a line each, at most five."""
        if self._validator is None:
            return ()
        try:
            return tuple(_lines(self._validator.iter_errors(arguments)))
        except Exception as error:  # noqa: BLE001 - a reference that leads nowhere, a broken pattern
            self.problem = _shortened(str(error)) or type(error).__name__
            self._validator = None
            return ()


def _lines(errors: Iterator[ValidationError]) -> Iterator[str]:
    for number, error in enumerate(errors, start=1):
        if number > _MOST_FAULTS:
            return
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
        yield f"{place.lstrip('.')}: {_shortened(error.message)}" if place else _shortened(error.message)


def _shortened(text: str) -> str:
    return one_line(text, _LONGEST_FAULT)
