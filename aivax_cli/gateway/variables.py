"""`${NAME}` and `${NAME:-default}` in a definition: filled in from the environment, in addresses alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aivax_cli.gateway.yamltree import FieldPath, Tree, Trouble, Value

ANY = "*"
"""Stands for any place in a list, or any name of the user's own."""

FILLED: Mapping[str, tuple[FieldPath, ...]] = {
    "gateway": (
        ("model", "base_url"),
        ("model", ANY, "base_url"),
        ("routing", ANY, "base_url"),
        ("rewrite", "models", ANY, "base_url"),
        ("knowledge", "rerank", "model", "base_url"),
        ("remote_instructions", ANY, "url"),
        ("tools", ANY, "url"),
        ("tools", ANY, "mcp"),
    ),
    "collection": (("embedder", "model", "base_url"),),
    "workspace": (("providers", ANY, "base_url"), ("store", "url")),
}
"""Where variables are filled in, by the kind of file. Addresses differ from machine to machine; nothing else
that a definition says may depend on who reads it, and a key never stands in one."""

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")

Written = dict[FieldPath, str]
"""What stands in the file at each place that was filled in."""


def filled(tree: Tree, kind: str, environ: Mapping[str, str]) -> tuple[Value, Written, list[Trouble]]:
    """The tree's value with variables filled in, what stood there before, and the variables that are missing.

    `tree` itself stays as it was written: what messages quote is never a variable's value.
    """
    written: Written = {}
    troubles: list[Trouble] = []
    value = tree.value
    for path, text in tree.scalars():
        if isinstance(text, str) and "${" in text and _is_filled(path, kind):
            rest = VARIABLE.sub("", text)
            missing = _missing(text, environ)
            if "${" in rest:
                troubles.append(Trouble(tree.line(path), path, _MISWRITTEN, alone=True))
            elif missing:
                names = " and ".join(missing)
                fix = f"set it, or write ${{{missing[0]}:-default}}"
                problem = f"the environment variable {names} is not set; {fix}"
                troubles.append(Trouble(tree.line(path), path, problem, alone=True))
            else:
                written[path] = text
                value = replaced(value, path, VARIABLE.sub(lambda found: _of(found, environ), text))
    return value, written, troubles


def replaced(value: Any, path: FieldPath, new: Any) -> Any:
    """A copy of a value with another at a path that it has."""
    if not path:
        return new
    head, *rest = path
    if isinstance(value, list):
        return [replaced(each, tuple(rest), new) if i == head else each for i, each in enumerate(value)]
    return {**value, head: replaced(value[head], tuple(rest), new)}


_MISWRITTEN = "a variable is written ${NAME} or ${NAME:-default}"


def _missing(text: str, environ: Mapping[str, str]) -> list[str]:
    """An empty variable counts as unset, as it does in a shell with `:-`."""
    return [name for name, default in VARIABLE.findall(text) if not environ.get(name) and not default]


def _of(found: re.Match[str], environ: Mapping[str, str]) -> str:
    return environ.get(found[1]) or found[2] or ""


def _is_filled(path: FieldPath, kind: str) -> bool:
    return any(
        len(path) == len(place) and all(want in (ANY, step) for step, want in zip(path, place, strict=True))
        for place in FILLED.get(kind, ())
    )
