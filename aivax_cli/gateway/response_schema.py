"""What `response_schema` may hold, and what is wrong with it: a JSON Schema inline or in a file, or short.

A schema of no declared dialect is one of JSON Schema 2020-12 (https://json-schema.org/draft/2020-12).
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from aivax_cli.core.errors import UsageError
from aivax_cli.core.types import JsonValue
from aivax_cli.gateway.schema_forms import short_form
from aivax_cli.gateway.yamltree import FieldPath

FILE_ENDINGS: Final = (".json", ".yaml", ".yml")
MAX_BYTES: Final = 1_000_000
_MAX_DEPTH: Final = 64
_MOST_PARTS: Final = 2_000
"""Schemas within a schema."""
_MAX_PATTERN: Final = 2_000
_VALUES: Final = frozenset({"const", "enum", "default", "examples"})
"""Keywords whose content is data, not schema."""
_NAMED: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords that hold schemas by name."""
_SHOWN: Final = 160


def names_file(value: str) -> bool:
    """Whether a text is the name of a file and no short form: it ends like one."""
    return value.strip().lower().endswith(FILE_ENDINGS) and "\n" not in value.strip()


class SchemaFault(Struct, frozen=True):
    """What is wrong with a schema, at the way to it from the schema's root."""

    path: FieldPath
    problem: str

    def __str__(self) -> str:
        place = ".".join(map(str, self.path))
        return f"{place}: {self.problem}" if place else self.problem


def schema_problem(value: object) -> str | None:
    """What is wrong with a schema given inline, or with a short form; None when nothing is.

    Of a file's name nothing is known here. Uses no network: a schema refers to nothing outside of itself.
    """
    fault = schema_fault(value)
    return None if fault is None else str(fault)


def schema_fault(value: object) -> SchemaFault | None:
    """The same with its place."""
    if isinstance(value, str):
        return None if names_file(value) else _short_form_fault(value)
    if not isinstance(value, Mapping):
        return SchemaFault((), "must be a JSON Schema: a mapping")
    try:
        return _fault_of(json.dumps(value))
    except RecursionError:
        return SchemaFault((), "is nested beyond all reason")
    except (TypeError, ValueError):
        return SchemaFault((), "holds what JSON cannot hold")


@lru_cache(maxsize=16)
def _fault_of(text: str) -> SchemaFault | None:
    """Of a schema as JSON: checking takes about a millisecond a field, and every turn asks again."""
    schema = json.loads(text)
    return _outside_of_metaschema(schema) or _against_metaschema(schema) or _endless(schema)


def _short_form_fault(text: str) -> SchemaFault | None:
    try:
        short_form(text)
    except UsageError as error:
        like_file = len(text.split()) == 1 and ("." in text or "/" in text)
        ending = "; a schema's file ends in .json or .yaml" if like_file else ""
        return SchemaFault((), f"{error}{ending}")
    return None


def resolved_schema(value: str | Mapping[str, Any], folder: Path, root: Path | None) -> dict[str, JsonValue]:
    """The JSON Schema that `response_schema` means. A file is relative to `folder`, and inside of `root`.

    Raises UsageError, in one line, when there is none or it is no JSON Schema.
    """
    if isinstance(value, str) and names_file(value):
        return file_schema(value.strip(), folder, root)
    if problem := schema_problem(value):
        raise UsageError(problem)
    return short_form(value) if isinstance(value, str) else dict(value)


def file_schema(name: str, folder: Path, root: Path | None) -> dict[str, JsonValue]:
    """The JSON Schema in a file of JSON or YAML; without `root` it may be anywhere.

    Raises UsageError, in one line, with the line in the file where it is known.
    """
    path = folder / name
    try:
        if root is not None and not path.resolve().is_relative_to(root.resolve()):
            raise UsageError(f"'{name}' is outside of the workspace", fix="keep it in there")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"'{name}' is over {MAX_BYTES:,} bytes long")
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "no such file" if missing else getattr(error, "strerror", None) or "not UTF-8 text"
        raise UsageError(f"'{name}' cannot be read: {reason.lower()}") from error
    value = _parsed(text, name)
    if problem := schema_problem(value if isinstance(value, Mapping) else None):
        raise UsageError(f"'{name}': {problem}")
    return dict(value)


def _parsed(text: str, name: str) -> Any:
    try:
        if name.lower().endswith(".json"):
            return json.loads(text)
        import yaml

        return _plain(yaml.safe_load(text))
    except json.JSONDecodeError as error:
        raise UsageError(f"'{name}', line {error.lineno}: is not JSON ({error.msg})") from error
    except RecursionError as error:
        raise UsageError(f"'{name}' is nested beyond all reason") from error
    except Exception as error:
        import yaml

        if not isinstance(error, yaml.YAMLError | ValueError):
            raise
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"'{name}'{where}: is not YAML") from error


def _plain(value: Any) -> Any:
    """YAML's value as JSON could hold it; a schema has nothing else to say."""
    return json.loads(json.dumps(value, default=str))


def subschemas(schema: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Mapping[str, Any]]]:
    """Every schema inside of a schema, itself first, with the way there. Data (`enum`, …) is passed over.

    Raises UsageError when it is nested beyond all reason.
    """
    if len(path) > _MAX_DEPTH:
        raise UsageError("is nested beyond all reason")
    if isinstance(schema, (list, tuple)):
        for number, item in enumerate(schema):
            yield from subschemas(item, (*path, number))
    if not isinstance(schema, Mapping):
        return
    yield path, schema
    for keyword, content in schema.items():
        if keyword in _NAMED and isinstance(content, Mapping):
            for name, inner in content.items():
                yield from subschemas(inner, (*path, keyword, str(name)))
        elif keyword not in _VALUES:
            yield from subschemas(content, (*path, str(keyword)))


def _outside_of_metaschema(schema: Mapping[str, Any]) -> SchemaFault | None:
    """Whatever a metaschema does not see: references to elsewhere or nowhere, patterns that are none."""
    try:
        parts = list(islice(subschemas(schema), _MOST_PARTS + 1))
    except UsageError as error:
        return SchemaFault((), str(error))
    if len(parts) > _MOST_PARTS:
        return SchemaFault((), f"has over {_MOST_PARTS:,} parts")
    anchors = {str(each[word]) for _, each in parts for word in ("$anchor", "$dynamicAnchor") if word in each}
    for path, each in parts:
        for keyword in ("$ref", "$dynamicRef"):
            if problem := _reference_problem(each.get(keyword), schema, anchors):
                return SchemaFault((*path, keyword), problem)
        if problem := _pattern_problem(each.get("pattern")):
            return SchemaFault((*path, "pattern"), problem)
        named = each.get("patternProperties")
        for pattern in named if isinstance(named, Mapping) else ():
            if problem := _pattern_problem(pattern):
                return SchemaFault((*path, "patternProperties", str(pattern)), problem)
    return None


def _reference_problem(reference: object, schema: Mapping[str, Any], anchors: Container[str]) -> str | None:
    if not isinstance(reference, str) or reference == "#":
        return None
    if not reference.startswith("#"):
        return (
            f"'{reference[:_SHOWN]}' is elsewhere; a schema refers to its own parts alone, like #/$defs/name"
        )
    pointer = reference.startswith("#/")
    inside = _found(schema, reference[2:].split("/")) if pointer else reference[1:] in anchors
    return None if inside else f"'{reference[:_SHOWN]}' is not in the schema"


def _found(value: Any, steps: list[str]) -> bool:
    from urllib.parse import unquote

    for step in steps:
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return False
    return True


def _pattern_problem(pattern: object) -> str | None:
    if not isinstance(pattern, str):
        return None
    if len(pattern) > _MAX_PATTERN:
        return f"is over {_MAX_PATTERN:,} characters long"
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression: {error}"
    return None


def _against_metaschema(schema: Mapping[str, Any]) -> SchemaFault | None:
    from jsonschema.exceptions import best_match
    from jsonschema.validators import Draft202012Validator, validator_for

    unknown: Any = None
    kind: Any = validator_for(schema, default=unknown) if "$schema" in schema else Draft202012Validator
    if kind is None:
        shown = str(schema["$schema"])[:_SHOWN]
        return SchemaFault(("$schema",), f"'{shown}' is no known dialect; leave it out for 2020-12")
    error = best_match(kind(kind.META_SCHEMA).iter_errors(schema))
    return None if error is None else SchemaFault(tuple(error.absolute_path), _said(error))


def _said(error: Any) -> str:
    shown = json.dumps(error.instance, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"
    if error.validator in ("anyOf", "enum") and "type" in list(error.absolute_path)[-2:]:
        return f"{shown} is no JSON type: array, boolean, integer, null, number, object, string"
    if error.validator == "type":
        kinds = error.validator_value
        return f"must be {' or '.join(kinds) if isinstance(kinds, list) else kinds}, not {shown}"
    return " ".join(str(error.message).split())[:_SHOWN]


def _endless(schema: Mapping[str, Any]) -> SchemaFault | None:
    """A schema that refers to itself before it looks at anything is never done with."""
    from jsonschema.validators import Draft202012Validator, validator_for

    kind: Any = validator_for(schema, default=Draft202012Validator)
    probes: tuple[object, ...] = ({}, [], "", 0)
    try:
        for probe in probes:
            kind(schema).is_valid(probe)
    except RecursionError:
        return SchemaFault((), "refers to itself without an end")
    except Exception as error:  # noqa: BLE001 - whatever the library does not bear is no usable schema
        return SchemaFault((), f"cannot be used: {' '.join(str(error).split())[:_SHOWN]}")
    return None
