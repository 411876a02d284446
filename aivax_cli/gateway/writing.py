"""A gateway as YAML again, with every default filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import yaml

from aivax_cli.gateway.workspace import LoadedGateway, Workspace


def resolved(loaded: LoadedGateway) -> dict[str, Any]:
    """The definition with its defaults, without what is unset, and with the instructions' own text."""
    fields = loaded.definition.model_dump(exclude={"instructions_file"}, exclude_none=True, by_alias=True)
    if loaded.instructions is not None:
        fields["instructions"] = loaded.instructions
    return {key: _plain(fields[key]) for key in type(loaded.definition).model_fields if fields.get(key)}


def inheritance_lines(loaded: LoadedGateway, workspace: Workspace) -> Iterator[str]:
    """For each base: its file, and what the gateway has from there."""
    for base in loaded.bases:
        names = [name for name, (file, _) in loaded.inherited.items() if file == base]
        yield f"extends {workspace.shown(base)}: {', '.join(names) or 'nothing from there'}"


def inheritance_record(loaded: LoadedGateway, workspace: Workspace) -> dict[str, Any]:
    """The same as values that `json` can write."""
    return {
        "extends": [workspace.shown(base) for base in loaded.bases],
        "inherited": {name: f"{workspace.shown(f)}:{line}" for name, (f, line) in loaded.inherited.items()},
    }


def as_written(value: Any, filled_in: Mapping[str, str]) -> Any:
    """A copy of what is to be shown, with `${NAME}` wherever a variable's value would stand."""
    if isinstance(value, str):
        for filled, written in filled_in.items():
            value = value.replace(filled.rstrip("/"), written.rstrip("/"))
        return value
    if isinstance(value, dict):
        return {key: as_written(part, filled_in) for key, part in value.items()}
    if isinstance(value, list):
        return [as_written(part, filled_in) for part in value]
    return value


def _plain(value: Any) -> Any:
    """Decimals as numbers, and mappings without their empty parts."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items() if part not in ({}, [])}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and lists indented below their field."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value.strip("\n") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(value: dict[str, Any]) -> str:
    """The value as YAML that a person can read, in the order given."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
