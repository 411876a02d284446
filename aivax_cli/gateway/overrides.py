"""Changing fields of a gateway for a while: `--set key=value`, `/set`, `/strategy`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import yaml

from aivax_cli.core.errors import UsageError, unknown_name
from aivax_cli.gateway.basics import Definition, Pricing
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.explain import dotted
from aivax_cli.gateway.knowledge import Knowledge
from aivax_cli.gateway.loading import validate_text
from aivax_cli.gateway.sections import Parameters, Rewrite

_SECTIONS: dict[str, type[Definition]] = {
    "parameters": Parameters,
    "knowledge": Knowledge,
    "rewrite": Rewrite,
    "pricing": Pricing,
}
_FIXED = frozenset({"id", "name", "instructions_file"})


def settable_fields() -> tuple[str, ...]:
    """Every field that can be changed, dotted: `model`, `parameters.temperature`, …"""
    top = [name for name in Gateway.model_fields if name not in _FIXED and name not in _SECTIONS]
    nested = [f"{section}.{name}" for section, model in _SECTIONS.items() for name in model.model_fields]
    return (*top, *nested)


def with_settings(gateway: Gateway, assignments: Iterable[str]) -> Gateway:
    """The gateway with `field=value` applied, in order; values are read as YAML.

    A field is dotted (`knowledge.top`) or its last part alone where only one field has it (`top`).
    `field=` alone takes a field back to its default. Raises UsageError or NotFoundError, in one line, for
    an unknown field or a value that the field refuses.
    """
    data = gateway.model_dump(exclude_unset=True)
    for assignment in assignments:
        field, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"'{assignment}' sets nothing", fix="write field=value, like temperature=0.2")
        data = _assigned(data, _path(field.strip()), _value(field, text))
    changed, troubles = validate_text(yaml.safe_dump(_plain(data), allow_unicode=True, sort_keys=False))
    if changed is None:
        first = troubles[0]
        raise UsageError(f"{dotted(first.path)}: {first.problem}" if first.path else first.problem)
    return changed


def _path(field: str) -> Sequence[str]:
    known = settable_fields()
    if field in known or field.startswith("parameters.extra_body."):
        return field.split(".")
    short = [name for name in known if name.rpartition(".")[2] == field]
    if len(short) == 1:
        return short[0].split(".")
    if short:
        raise UsageError(f"'{field}' may mean several fields", fix=f"write one of: {', '.join(short)}")
    error = unknown_name("field", field, {*known, *(name.rpartition(".")[2] for name in known)}, otherwise="")
    if error.fix and error.fix.startswith("choose"):
        raise UsageError(error.message, fix="see `aivax schema gateway`")
    raise error


def _value(field: str, text: str) -> object:
    """What was typed, as YAML where it is meant to be: `@openai/x` and `Note: be brief` are text."""
    bare = text.strip()
    structured = bare.startswith(("[", "{", '"', "'"))
    try:
        value = yaml.safe_load(bare) if bare else None
    except yaml.YAMLError as error:
        if not structured:
            return bare
        raise UsageError(f"{field}: {bare!r} is not a YAML value") from error
    return bare if isinstance(value, dict) and not structured else value


def _assigned(data: dict[str, object], path: Sequence[str], value: object) -> dict[str, object]:
    """A copy of `data` with the value at `path`; None removes what is there."""
    head, *rest = path
    if rest:
        inner = data.get(head)
        value = _assigned(inner if isinstance(inner, dict) else {}, rest, value)
    changed = {**data, head: value}
    return {key: kept for key, kept in changed.items() if kept is not None and kept != {}}


def _plain(value: object) -> object:
    """Values as YAML can write them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value
