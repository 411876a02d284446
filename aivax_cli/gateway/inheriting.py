"""`extends: base`: a gateway's fields, and those of the gateways that it builds on.

A file that is named `_….yaml` is a base alone: no gateway of its own, and it may be incomplete.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.gateway.settable import EXTRA_BODY, OWN, sections
from aivax_cli.gateway.yamlfile import read_yaml
from aivax_cli.gateway.yamltree import FieldPath, Place, Tree, Trouble

ENDINGS = (".yaml", ".yml")
_SYSTEM = ("instructions", "instructions_file")
_FIELD: FieldPath = ("extends",)


class Lineage(Struct, frozen=True):
    """A gateway with everything that it inherits.

    `bases` are the files it builds on, the nearest first. `troubles` are what is wrong in the text of each,
    or with the way there; `whole` is False when fields may be missing because of them.
    """

    tree: Tree
    bases: tuple[Path, ...] = ()
    troubles: tuple[tuple[Path, Trouble], ...] = ()
    whole: bool = True


def with_bases(file: Path, tree: Tree) -> Lineage:
    """The gateway of `tree`, merged with what it extends, and what that extends. Reads files."""
    found: tuple[tuple[Path, Trouble], ...] = ()
    bases: list[Path] = []
    merged, here, at = tree, file, tree
    while (reference := at.at(_FIELD)) is not None:
        if not isinstance(reference, str) or not reference:
            return Lineage(merged, tuple(bases), found, whole=False)  # of the wrong type, as others may be
        base, problem = _base(reference, here, [file, *bases])
        if base is None:
            return Lineage(merged, tuple(bases), (*found, (here, _trouble(at, problem))), whole=False)
        below, troubles = read_yaml(base)
        bases.append(base)
        found += tuple((base, trouble) for trouble in troubles)
        if below is None:
            return Lineage(merged, tuple(bases), found, whole=False)
        merged = merge(merged, below, base)
        here, at = base, below
    return Lineage(merged, tuple(bases), found)


def merge(own: Tree, base: Tree, file: Path) -> Tree:
    """The fields of `own`, and those of `base`, which stands in `file`, wherever it has none.

    Sections are merged field by field; every other value, lists and models too, is taken whole. A price goes
    with its model, and `instructions` with `instructions_file`: who gives one inherits neither.
    """
    mine: dict[str, Any] = own.value if isinstance(own.value, dict) else {}
    theirs = dict(base.value) if isinstance(base.value, dict) else {}
    for field in (*OWN, *_replaced(mine)):
        theirs.pop(field, None)
    taken: set[FieldPath] = set()
    value = _merged((), mine, theirs, taken)
    places = {path: place for path, place in own.places.items() if not _below(path, taken)}
    for path, place in base.places.items():
        if _below(path, taken):
            places[path] = replace(place, file=place.file or file)
    return Tree(value, places, own.troubles)


def _replaced(mine: dict[str, Any]) -> Sequence[str]:
    """The fields of a base that go with another field, which the gateway has itself."""
    given = {field for field, value in mine.items() if value is not None}
    gone = ["pricing"] if "model" in given else []
    return [*gone, *_SYSTEM] if given.intersection(_SYSTEM) else gone


def _merged(path: FieldPath, mine: dict[str, Any], theirs: dict[str, Any], taken: set[FieldPath]) -> Any:
    result = dict(mine)
    for key, inherited in theirs.items():
        here = (*path, key)
        own = mine.get(key)
        if own is None:
            taken.add(here)
            result[key] = inherited
        elif isinstance(own, dict) and isinstance(inherited, dict) and _is_section(here):
            result[key] = _merged(here, own, inherited, taken)
    return result


def _is_section(path: FieldPath) -> bool:
    name = ".".join(str(step) for step in path)
    return name in sections() or name == EXTRA_BODY


def _below(path: FieldPath, taken: set[FieldPath]) -> bool:
    return any(path[:length] in taken for length in range(1, len(path) + 1))


def _base(reference: str, file: Path, lineage: Sequence[Path]) -> tuple[Path | None, str]:
    """The file that `extends` names, or what is wrong with it."""
    files = _beside(file)
    named = [each for each in files if reference in (each.name, each.stem)]
    named = named or [each for each in files if _name(each) == reference]
    if len(named) > 1:
        return None, f"may mean {' or '.join(each.name for each in named)}; write the file's name"
    if not named:
        near = difflib.get_close_matches(reference, [each.stem for each in files], n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return None, f"no gateway '{reference[:80]}' in this folder{hint}"
    circle = [each.resolve() for each in lineage]
    if named[0].resolve() in circle:
        turns = [*lineage[circle.index(named[0].resolve()) :], named[0]]
        return None, f"goes in a circle: {' → '.join(each.name for each in turns)}"
    return named[0], ""


def _beside(file: Path) -> list[Path]:
    folder = file.parent
    if not folder.is_dir():
        return []
    entries = (entry for entry in folder.iterdir() if entry.suffix in ENDINGS)
    return sorted(entry for entry in entries if not entry.name.startswith(".") and not entry.is_dir())


def _name(file: Path) -> str | None:
    tree, _ = read_yaml(file)
    name = tree.at(("name",)) if tree else None
    return name if isinstance(name, str) else None


def _trouble(tree: Tree, problem: str) -> Trouble:
    return Trouble(tree.line(_FIELD), _FIELD, problem)


def inherited(tree: Tree) -> dict[FieldPath, Place]:
    """The places of what stands in other files: scalars and lists, not the sections around them."""
    places = {path: place for path, place in tree.places.items() if place.file is not None}
    whole = [path for path in places if path and not _is_section(path)]
    return {path: places[path] for path in whole if not any(path[:n] in whole for n in range(1, len(path)))}
