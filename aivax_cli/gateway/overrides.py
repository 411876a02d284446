"""Changing fields of a gateway for a while: `--set key=value`, `/set`. Pure.

What a gateway lists under `locked` stays as it is, whoever asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import yaml
from pydantic import ValidationError

from aivax_cli.core.errors import UsageError, unknown_name
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.explain import dotted, explain
from aivax_cli.gateway.schema import schema_view
from aivax_cli.gateway.settable import (
    EXTRA_BODY,
    FIXED,
    REQUEST_FIELDS,
    lock_covers,
    overlap,
    sections,
    settable_fields,
)
from aivax_cli.gateway.yamltree import Tree

_UNQUOTED_MODEL = re.compile(r"(?<=[\[,\s:])@[^\s,\]}]+")
_NO_FIELD = "see `aivax schema gateway`"


def with_settings(gateway: Gateway, assignments: Iterable[str], *, locked_at: str = "") -> Gateway:
    """The gateway with `field=value` applied, in order; values are read as YAML.

    A field is dotted (`knowledge.top`), or its last parts alone where only one field of its depth has them
    (`top`). A whole section is set as a mapping: `budget={usd_per_day: 1}`. `field=` alone takes a field back
    to its default. `locked_at` says where `locked` stands, for the error. Raises UsageError or NotFoundError,
    in one line, for an unknown field, a locked one, or a value that the field refuses.
    """
    changes: list[tuple[str, object]] = []
    for assignment in assignments:
        field, equals, text = assignment.partition("=")
        if not equals or not field.strip():
            raise UsageError(f"'{assignment}' sets nothing", fix="write field=value, like temperature=0.2")
        name = full_name(field.strip())
        changes.append((name, _value(name, text)))
    return changed(gateway, changes, locked_at)


def refuse_locked(gateway: Gateway, field: str, *, locked_at: str = "", value: object = None) -> None:
    """Raises UsageError when the gateway locks the field, a part of it, or what it is a part of.

    `value` matters for `parameters.extra_body`, whose fields go over all others on the wire.
    """
    for touched in (field, *_on_the_wire(field, value)):
        for lock in gateway.locked:
            if lock_covers(lock, touched):
                where = f" by {locked_at}" if locked_at else ""
                raise UsageError(f"{touched} is locked{where}", fix=f"leave it, or unlock '{lock}' there")


def changed(gateway: Gateway, changes: Sequence[tuple[str, object]], locked_at: str) -> Gateway:
    """The gateway with values at dotted names; None takes one back to its default. Raises UsageError."""
    data: dict[str, object] = gateway.model_dump(exclude_unset=True, by_alias=True)
    named = {name for name, _ in changes}
    for name, value in changes:
        refuse_locked(gateway, name, locked_at=locked_at, value=value)
        data = _assigned(data, name.split("."), value)
        if name == "model" and not any(overlap(each, "pricing") for each in named):
            data.pop("pricing", None)  # a price that a gateway states is its model's, and no other's
        if name == "model" and _settles_routing(gateway, named):
            data.pop("routing", None)  # whoever names a model wants that one to answer
        if name == "instructions" and value is not None:
            data.pop("instructions_file", None)
    return _validated(_plain(data))


def _settles_routing(gateway: Gateway, named: set[str]) -> bool:
    """Whether a model that is named takes the place of a router's choice."""
    locked = any(lock_covers(lock, "routing") for lock in gateway.locked)
    return not locked and not any(overlap(each, "routing") for each in named)


def _validated(data: dict[str, object]) -> Gateway:
    try:
        return Gateway.model_validate(data, strict=True)
    except ValidationError as error:
        tree = Tree(data, {}, ())  # type: ignore[arg-type]
        first = explain(error.errors(include_url=False), tree, schema_view("gateway"))[0]
        told = f"{dotted(first.path)}: {first.problem}" if first.path else first.problem
        raise UsageError(told) from error


def full_name(field: str) -> str:
    """The dotted name of a field that can be changed. Raises UsageError or NotFoundError for any other."""
    if field in FIXED:
        raise UsageError(f"{field} cannot be overridden", fix="change it in the gateway's file")
    known = (*settable_fields(), *sections())
    if field in known or field.startswith(f"{EXTRA_BODY}."):
        return field
    if field.startswith("extra_body."):
        return f"parameters.{field}"
    short = [name for name in known if name.endswith(f".{field}")]
    least = min((name.count(".") for name in short), default=0)
    shallow = [name for name in short if name.count(".") == least]
    if len(shallow) == 1:
        return shallow[0]
    if shallow:
        raise UsageError(f"'{field}' may mean several fields", fix=f"write one of: {', '.join(shallow)}")
    error = unknown_name("field", field, {*known, *(name.rpartition(".")[2] for name in known)}, otherwise="")
    if error.fix and error.fix.startswith("choose"):
        raise UsageError(error.message, fix=_NO_FIELD)
    raise error


def _value(field: str, text: str) -> object:
    """What was typed, as YAML where it is meant to be: `@openai/x` and `Note: be brief` are text.

    In a field that takes nothing but text, only quotes mean anything: a prefill may be `{` or `yes`.
    """
    bare = text.strip()
    quoted = len(bare) > 1 and bare[0] in "\"'" and bare[-1] == bare[0]
    if bare and not quoted and schema_view("gateway").is_text(tuple(field.split("."))):
        return bare
    structured = bare.startswith(("[", "{", '"', "'"))
    if structured:
        bare = _UNQUOTED_MODEL.sub(lambda found: f'"{found[0]}"', bare)
    try:
        value = yaml.safe_load(bare) if bare else None
    except yaml.YAMLError as error:
        if not structured:
            return bare
        raise UsageError(f"{field}: {bare!r} is not a YAML value") from error
    return bare if isinstance(value, dict) and not structured else value


def _assigned(data: dict[str, object], path: Sequence[str], value: object) -> dict[str, object]:
    """A copy of `data` with the value at `path`; None removes what is there, and then an empty section."""
    head, *rest = path
    if rest:
        inner = data.get(head)
        value = _assigned(inner if isinstance(inner, dict) else {}, rest, value) or None
    return {key: kept for key, kept in {**data, head: value}.items() if kept is not None}


def _on_the_wire(field: str, value: object) -> list[str]:
    """The fields that a change of `parameters.extra_body` overrides beside itself."""
    if field.startswith(f"{EXTRA_BODY}."):
        names = [field.removeprefix(f"{EXTRA_BODY}.").partition(".")[0]]
    elif field == EXTRA_BODY and isinstance(value, Mapping):
        names = [str(name) for name in value]
    elif field == "parameters" and isinstance(value, Mapping):
        return _on_the_wire(EXTRA_BODY, value.get("extra_body"))
    else:
        return []
    return [REQUEST_FIELDS[name] for name in names if name in REQUEST_FIELDS]


def _plain(value: Any) -> Any:
    """Values as the definitions take them: lists, and numbers that are no Decimal."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value
