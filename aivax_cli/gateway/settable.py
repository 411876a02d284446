"""The names of a gateway's fields, and which of them may be changed by whom. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Union, get_args, get_origin

from aivax_cli.gateway.basics import Definition
from aivax_cli.gateway.definition import Gateway

EXTRA_BODY = "parameters.extra_body"
"""The one field whose own fields are free: `parameters.extra_body.top_k`."""

OWN = ("id", "name", "extends")
"""What no gateway has from another."""

FIXED = frozenset({*OWN, "locked", "instructions_file"})
"""What makes a gateway the one it is, or is used up when its file is read: no override reaches it."""

NOT_FROM_REQUESTS = frozenset(
    {
        "model",
        "pricing",
        "routing",
        "rewrite.models",
        "remote_instructions",
        "tools",
        "budget",
        "knowledge.collections",
        "knowledge.rerank",
        EXTRA_BODY,
    }
)
"""What a request over the network never overrides, locked or not: it would choose what is spent, which
documents are read, which addresses are called, which keys go there, and which commands are run."""

REQUEST_FIELDS: Mapping[str, str] = {
    "temperature": "parameters.temperature",
    "top_p": "parameters.top_p",
    "presence_penalty": "parameters.presence_penalty",
    "frequency_penalty": "parameters.frequency_penalty",
    "seed": "parameters.seed",
    "stop": "parameters.stop",
    "max_completion_tokens": "parameters.max_completion_tokens",
    "max_tokens": "parameters.max_completion_tokens",
    "reasoning_effort": "parameters.reasoning_effort",
    "verbosity": "parameters.verbosity",
    "response_schema": "response_schema",
    "response_format": "response_schema",
    "tools": "tools",
    "model": "model",
}
"""OpenAI's request fields (and the hosted service's `response_schema`), and the gateway's for each."""


@cache
def sections() -> Mapping[str, type[Definition]]:
    """The parts of a gateway that have fields of their own, by their dotted names: `knowledge.filter`, …"""
    return dict(_sections(Gateway, ""))


@cache
def fields() -> tuple[str, ...]:
    """Every field that is no section, dotted, those of the gateway itself first."""
    names = sections()
    holders: list[tuple[str, type[Definition]]] = [("", Gateway), *names.items()]
    dotted = (f"{prefix}.{name}" if prefix else name for prefix, model in holders for name in _names(model))
    return tuple(name for name in dotted if name not in names)


def settable_fields() -> tuple[str, ...]:
    """Every field that can be changed, dotted: `model`, `parameters.temperature`, …"""
    return tuple(name for name in fields() if name not in FIXED)


def lock_problem(name: str) -> str | None:
    """What is wrong with a name that a gateway lists under `locked`; None when nothing is."""
    known = [*(each for each in fields() if each not in FIXED), *sections(), "instructions_file"]
    if name in known or name.startswith(f"{EXTRA_BODY}."):
        return None
    if name in FIXED:
        return f"{name} can never be overridden and needs no lock"
    near = nearest(name, known)
    return f"no field is called '{name}'" + (f"; did you mean '{near}'?" if near else "")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The dotted name that was most likely meant: by its last part, or by its spelling."""
    choices = list(known)
    last = [each for each in choices if each.rpartition(".")[2] == name.rpartition(".")[2]]
    if last:
        return min(last, key=lambda each: each.count("."))
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    if not near:
        by_last = {each.rpartition(".")[2]: each for each in reversed(choices)}
        near = [by_last[each] for each in difflib.get_close_matches(name, by_last, n=1, cutoff=0.6)]
    return near[0] if near else None


def overlap(one: str, other: str) -> bool:
    """Whether one field is the other, or a part of it."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def lock_covers(lock: str, field: str) -> bool:
    """Whether a name under `locked` keeps a field from being overridden."""
    # The system message is one thing, whichever of the two fields it comes from.
    return overlap("instructions" if lock == "instructions_file" else lock, field)


def _names(model: type[Definition]) -> Iterable[str]:
    return model.model_fields


def _sections(model: type[Definition], prefix: str) -> Iterator[tuple[str, type[Definition]]]:
    for name, field in model.model_fields.items():
        if section := _section(field.annotation):
            yield prefix + name, section
            yield from _sections(section, f"{prefix}{name}.")


def _section(annotation: object) -> type[Definition] | None:
    """The model of a field that is a mapping and nothing else."""
    union = get_origin(annotation) in (Union, UnionType)
    forms = [form for form in (get_args(annotation) if union else (annotation,)) if form is not type(None)]
    only = forms[0] if len(forms) == 1 else None
    return only if isinstance(only, type) and issubclass(only, Definition) else None
