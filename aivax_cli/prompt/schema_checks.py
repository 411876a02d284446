"""A value against a JSON Schema, in bounded time, with problems as a model can act on them. Pure."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from aivax_cli.core.types import JsonValue

MOST_PROBLEMS: Final = 10
FORMATS: Final = ("date", "email", "ipv4", "ipv6", "uuid")
"""The formats that are checked; others say what is meant, and no more."""
_PATTERNS_S: Final = 1.0
"""How long all the patterns of a schema may take over one value: what they are held against is whatever a
model writes."""
_LONGEST_KEY: Final = 200
"""Names are held against `patternProperties` without a limit of time, so they may not be long."""
_SHOWN: Final = 80
_LONGEST: Final = 300


def problems_of(value: JsonValue, schema: Mapping[str, Any]) -> tuple[str, ...]:
    """What of the value does not hold to the schema, at most ten lines `path: what`; none when it holds.

    A sound schema is assumed. Never takes long, and raises nothing.
    """
    if "patternProperties" in json.dumps(schema) and (key := _longest_key(value)) > _LONGEST_KEY:
        return (f"the name of a field is {key:,} characters long",)
    try:
        found = [_line(error) for error in _errors(value, schema)]
    except TimeoutError:
        return ("a text takes too long to check against its pattern",)
    except RecursionError:
        return ("it is nested beyond all reason",)
    except (OverflowError, ValueError, ArithmeticError) as error:
        return (f"it cannot be checked: {' '.join(str(error).split())[:_LONGEST]}",)
    if len(found) > MOST_PROBLEMS:
        more = len(found) - MOST_PROBLEMS + 1
        found = [*found[: MOST_PROBLEMS - 1], f"and {more} more"]
    return tuple(found)


def _errors(value: JsonValue, schema: Mapping[str, Any]) -> list[Any]:
    from jsonschema import FormatChecker, validators

    kind: Any = validators.validator_for(schema, default=validators.Draft202012Validator)
    extend: Any = validators.extend
    bounded = extend(kind, {"pattern": _Pattern(time.monotonic() + _PATTERNS_S)})
    found = bounded(schema, format_checker=FormatChecker(FORMATS)).iter_errors(value)
    return sorted(found, key=lambda error: [str(step) for step in error.absolute_path])


class _Pattern:
    """The keyword `pattern`, for as long as there is time; raises TimeoutError after that."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def __call__(self, _validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
        if not isinstance(instance, str):
            return
        # The standard library's expressions cannot be stopped.
        import regex  # type: ignore[import-untyped]
        from jsonschema import ValidationError

        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if not regex.search(pattern, instance, timeout=left):
            yield ValidationError(f"does not match {pattern!r}")


def _line(error: Any) -> str:
    """`path: what`, short: the value itself may be long."""
    said = f"{_path(error.absolute_path)}: {_said(error)}" if error.absolute_path else _said(error)
    said = printable(" ".join(said.split()))
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"


def printable(line: str) -> str:
    """A line without what a terminal would obey: it ends up in an error, and the model wrote parts of it."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in line)


def _said(error: Any) -> str:
    expected, value = error.validator_value, error.instance
    match error.validator:
        case "type":
            kinds = expected if isinstance(expected, str) else " or ".join(expected)
            return f"must be {kinds}, not {_shown(value)}"
        case "required":
            missing = next((name for name in expected if f"'{name}'" in error.message), "")
            return f"'{missing}' is missing" if missing else str(error.message)
        case "additionalProperties" if isinstance(value, Mapping) and expected is False:
            known = error.schema.get("properties", {})
            extra = ", ".join(f"'{name}'" for name in value if name not in known)
            return f"has fields that are not allowed: {extra}"
        case "enum":
            return f"must be one of {_listed(expected)}, not {_shown(value)}"
        case "const":
            return f"must be {_shown(expected)}, not {_shown(value)}"
        case "pattern":
            return f"{_shown(value)} does not match the pattern {expected}"
        case "format":
            return f"{_shown(value)} is no {expected}"
        case "minLength" | "maxLength" | "minItems" | "maxItems":
            least = error.validator.startswith("min")
            unit = "characters" if error.validator.endswith("Length") else "items"
            return f"has {len(value)} {unit}; {'at least' if least else 'at most'} {expected} are allowed"
        case "anyOf" | "oneOf":
            return f"{_shown(value)} fits none of what is allowed" if error.context else str(error.message)
    message: str = error.message
    return message.replace(repr(value), _shown(value)) if value != "" else message


def _path(steps: Iterable[str | int]) -> str:
    """`people[0].name`."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(_shown(value) for value in values)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _longest_key(value: Any) -> int:
    if isinstance(value, Mapping):
        return max((max(len(str(key)), _longest_key(item)) for key, item in value.items()), default=0)
    if isinstance(value, list):
        return max(map(_longest_key, value), default=0)
    return 0
