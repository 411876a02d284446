"""The field tables of docs/gateways.md, made from the definitions themselves.

`python -m aivax_cli.gateway.reference docs/gateways.md` renews what stands between the markers.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aivax_cli.gateway.basics import InlineModel
from aivax_cli.gateway.providers import LOCAL, PROVIDERS
from aivax_cli.gateway.schema import json_schema

_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def renewed(page: str) -> str:
    """The page with every generated block written anew. Raises KeyError for a block nobody makes."""
    return _BLOCK.sub(lambda found: f"{found[1]}{_BLOCKS[found[2]]()}{found[3]}", page)


def field_tables(kind: str) -> str:
    """A table of the fields of a kind of file, and one for each mapping in it."""
    schema = json_schema(kind)
    parts = []
    mappings = list(_mappings(schema, ""))
    titles = [title for title, _ in mappings]
    for title, described in mappings:
        fields = described["properties"]
        required = described.get("required", ())
        rows = [
            _row(f"{title}.{name}" if title else name, field, name in required)
            for name, field in fields.items()
        ]
        if title:
            # Of several forms, what each must have tells them apart.
            apart = f" with `{required[0]}`" if titles.count(title) > 1 else ""
            intro = _EVERY_MODEL if described.get("title") == _MODEL else ""
            parts.append(f"### `{title}`{apart}\n\n{intro}{_sentence(described)}\n")
        parts.append("\n".join(["| field | value | default | meaning |", "|---|---|---|---|", *rows]) + "\n")
    return "\n" + "\n".join(parts) + "\n"


def provider_table() -> str:
    """The built-in providers."""
    rows = ["| provider | address | key | billed |", "|---|---|---|---|"]
    for provider in PROVIDERS.values():
        address = "the embedded engine" if provider.name == LOCAL else f"`{provider.base_url}`"
        key = f"`{provider.api_key_env}`" if provider.api_key_env else "none"
        rows.append(f"| `@{provider.name}/…` | {address} | {key} | {'no' if provider.free else 'yes'} |")
    return "\n" + "\n".join(rows) + "\n\n"


_KINDS: Mapping[str, str] = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
}

_MODEL = InlineModel.__name__
_EVERY_MODEL = 'Wherever a model is named: `"@provider/name"`, or a mapping with these fields. '

_BLOCKS: Mapping[str, Callable[[], str]] = {
    "gateway": lambda: field_tables("gateway"),
    "collection": lambda: field_tables("collection"),
    "workspace": lambda: field_tables("workspace"),
    "providers": provider_table,
}


def _mappings(schema: dict[str, Any], title: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The top mapping, then each one below it with the path that leads there."""
    waiting = [(title, schema)]
    seen = set()
    while waiting:
        title, mapping = waiting.pop(0)
        yield title, mapping
        for name, field in mapping["properties"].items():
            for suffix, form in _forms(field):
                reference = form.get("$ref", "").rpartition("/")[2]
                below = schema.get("$defs", {}).get(reference, {})
                if "properties" in below and reference not in seen:
                    seen.add(reference)
                    step = name + suffix
                    waiting.append((f"{title}.{step}" if title else step, below))


def _forms(field: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The alternatives of a field, also inside a list (`[]`) or under names of the user's own (`.NAME`)."""
    for key in ("anyOf", "oneOf"):
        if key in field:
            return [form for each in field[key] for form in _forms(each)]
    found = [("", field)]
    for key, suffix in (("items", "[]"), ("additionalProperties", ".NAME")):
        if isinstance(field.get(key), dict):
            found += [(suffix + below, form) for below, form in _forms(field[key])]
    for below in field.get("patternProperties", {}).values():
        found += [(".NAME" + suffix, form) for suffix, form in _forms(below)]
    return found


def _row(name: str, field: dict[str, Any], required: bool) -> str:
    default = field.get("default")
    shown = "required" if required else f"`{_short(default)}`" if default not in (None, "") else "–"
    return f"| `{name}` | {_value(field)} | {shown} | {_sentence(field)} |"


def _short(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _sentence(described: dict[str, Any]) -> str:
    return " ".join(described.get("description", "").split()).replace("|", "\\|")


def _value(field: dict[str, Any]) -> str:
    """What may stand there, in a few words."""
    for key in ("anyOf", "oneOf"):
        if key in field:
            forms = [form for form in field[key] if form.get("type") != "null"]
            if any("enum" in form for form in forms):
                # A pattern beside a fixed set is only the other spellings of the same names.
                forms = [form for form in forms if "pattern" not in form]
            if any(form.get("$ref", "").endswith(f"/{_MODEL}") for form in forms):
                others = [form for form in forms if "$ref" not in form and form.get("type") != "string"]
                return " or ".join(["model", *map(_value, others)])
            return " or ".join(dict.fromkeys(map(_value, forms)))
    if "enum" in field:
        return ", ".join(f"`{choice}`" for choice in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "$ref" in field:
        return "any" if field["$ref"].endswith("JsonValue") else "mapping"
    kind = field.get("type", "any")
    if kind == "array":
        inner = _value(field.get("items", {}))
        return f"list of {inner}s" if " " not in inner else f"list of: {inner}"
    if kind == "object":
        return "mapping"
    return _KINDS[kind] + _bounds(field)


def _bounds(field: dict[str, Any]) -> str:
    least, most = field.get("minimum"), field.get("maximum")
    if least is not None and most is not None:
        return f", {least:g} to {most:g}"
    if "exclusiveMinimum" in field:
        return f", more than {field['exclusiveMinimum']:g}"
    return f", {least:g} or more" if least is not None else ""


def main(arguments: Sequence[str]) -> None:
    """Renews the pages named."""
    for name in arguments:
        page = Path(name)
        page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
