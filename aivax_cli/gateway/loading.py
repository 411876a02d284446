"""A definition file → its model, or every fault in it with file, line, field and a suggestion."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from aivax_cli.core.errors import AivaxError, Fault, unknown_name
from aivax_cli.gateway.basics import Definition
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.explain import dotted, explain, shown
from aivax_cli.gateway.knowledge import Collection
from aivax_cli.gateway.providers import PROVIDERS, Provider, price_problem, provider_problem, split_model_ref
from aivax_cli.gateway.schema import SchemaView
from aivax_cli.gateway.secrets import looks_secret, names_secret, redact
from aivax_cli.gateway.settings import WorkspaceSettings
from aivax_cli.gateway.yamltree import FieldPath, SyntaxTrouble, Tree, Trouble, read_tree

MAX_BYTES = 1_000_000

D = TypeVar("D", bound=Definition)


@dataclass(frozen=True, slots=True)
class Reading(Generic[D]):
    """What came of reading one file: `definition` is None exactly when there are faults.

    `tree` is there whenever the text was YAML at all, also when it was no valid definition.
    """

    file: Path
    shown_as: str
    definition: D | None
    tree: Tree | None
    faults: tuple[Fault, ...]

    def claim(self, field: str) -> str | None:
        """The text of a top-level field, read also from a file that has faults."""
        value = self.tree.at((field,)) if self.tree else None
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class GatewayReading(Reading[Gateway]):
    """A gateway file. `instructions` is the text of the system message, whichever field it came from."""

    instructions: str | None = None
    instructions_file: Path | None = None


def display(path: Path, start: Path) -> str:
    """A path as messages show it: relative to where the user stands, absolute when that is far away."""
    relative = Path(os.path.relpath(path, start))
    return str(path) if relative.parts[:3] == ("..", "..", "..") else relative.as_posix()


def read_gateway(
    file: Path, *, root: Path, start: Path, providers: Mapping[str, Provider] | None
) -> GatewayReading:
    """Reads a gateway. Never raises for what the file holds: that is in `faults`.

    `root` bounds `instructions_file`; paths are shown relative to `start`. Without `providers` (because
    `aivax.yaml` is broken) no provider is called unknown.
    """
    shown_as = display(file, start)
    tree, troubles = _read(file)
    if tree is None:
        return GatewayReading(file, shown_as, None, None, _faults(shown_as, troubles))
    definition, problems = _validate(tree, Gateway, "gateway")
    troubles += problems
    troubles += _both_instructions(tree)
    pool = tree.at(("rewrite", "models"))
    rewriters = [("rewrite", "models", i) for i in range(len(pool) if isinstance(pool, list) else 0)]
    models: list[FieldPath] = [("model",), ("knowledge", "rerank", "model"), *rewriters]
    troubles += _unknown_models(tree, providers, models)
    instructions, instructions_path, trouble = _instructions(file, tree, root)
    if trouble:
        troubles.append(trouble)
    faults = _faults(shown_as, troubles)
    return GatewayReading(
        file, shown_as, None if faults else definition, tree, faults, instructions, instructions_path
    )


def read_collection(
    file: Path, *, start: Path, providers: Mapping[str, Provider] | None = None
) -> Reading[Collection]:
    """Reads a collection's definition; its name, when given, is the file's.

    Without `providers` no provider is called unknown.
    """
    reading = _plain(file, start, Collection, "collection")
    if reading.tree is None:
        return reading
    troubles = _unknown_models(reading.tree, providers, [("embedder", "model")])
    name = reading.claim("name")
    if name is not None and name != file.stem:
        problem = f"must be the file's own name, '{file.stem}', or left out"
        troubles.append(Trouble(reading.tree.line(("name",)), ("name",), problem))
    if not troubles:
        return reading
    further = _faults(reading.shown_as, troubles)
    faults = tuple(sorted((*reading.faults, *further), key=lambda each: each.line))
    return Reading(file, reading.shown_as, None, reading.tree, faults)


def read_settings(file: Path, *, start: Path) -> Reading[WorkspaceSettings]:
    """Reads `aivax.yaml`."""
    reading = _plain(file, start, WorkspaceSettings, "workspace")
    if reading.definition is None or reading.tree is None:
        return reading
    faults = tuple(
        Fault(reading.shown_as, reading.tree.key_line(("providers", name)), f"providers.{name}", problem)
        for name, settings in reading.definition.providers.items()
        if (problem := provider_problem(name, settings))
    )
    names = {*PROVIDERS, *reading.definition.providers}
    faults += tuple(
        Fault(reading.shown_as, reading.tree.key_line(("prices", reference)), "prices", problem)
        for reference in reading.definition.prices
        if (problem := price_problem(reference, names))
    )
    return Reading(file, reading.shown_as, None, reading.tree, faults) if faults else reading


def _plain(file: Path, start: Path, model: type[D], kind: str) -> Reading[D]:
    shown_as = display(file, start)
    tree, troubles = _read(file, may_be_empty=kind != "gateway")
    definition = None
    if tree is not None:
        definition, problems = _validate(tree, model, kind)
        troubles += problems
    faults = _faults(shown_as, troubles)
    return Reading(file, shown_as, None if faults else definition, tree, faults)


def _read(file: Path, *, may_be_empty: bool = False) -> tuple[Tree | None, list[Trouble]]:
    """The file's tree with what is wrong in the text; no tree when it cannot be used at all."""
    text, problem = read_text(file)
    if text is None:
        return None, [problem]
    try:
        tree = read_tree(text)
    except SyntaxTrouble as stop:
        return None, [stop.trouble]
    if tree.value is None and may_be_empty:
        return Tree({}, tree.places, tree.troubles), list(tree.troubles)
    if tree.value is None:
        fix = "`aivax gateways new NAME` writes one to start from"
        return None, [Trouble(1, (), f"is empty; {fix}")]
    if not isinstance(tree.value, dict):
        found = "a list" if isinstance(tree.value, list) else "a single value"
        problem = Trouble(tree.line(()), (), f"must be a mapping of fields, 'name: value', not {found}")
        return None, [problem]
    return tree, [*tree.troubles, *_secrets(tree)]


def read_text(file: Path) -> tuple[str | None, Trouble]:
    """A file's text, or the trouble that it cannot be read."""

    def trouble(problem: str, line: int = 1) -> tuple[None, Trouble]:
        return None, Trouble(line, (), problem)

    try:
        if not file.exists():
            return trouble("no such file")
        if not file.is_file():
            return trouble("is not a file")
        size = file.stat().st_size
        if size > MAX_BYTES:
            return trouble(f"is {size:,} bytes long; at most {MAX_BYTES:,} are read")
        data = file.read_bytes()
    except OSError as error:
        return trouble(f"cannot be read: {(error.strerror or type(error).__name__).lower()}")
    try:
        return data.decode("utf-8-sig"), Trouble(1, (), "")
    except UnicodeDecodeError as error:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return trouble("is UTF-16; save it as UTF-8")
        line = data.count(b"\n", 0, error.start) + 1
        return trouble(f"is not UTF-8 (byte 0x{data[error.start]:02X}); save it as UTF-8", line)


@cache
def _view(kind: str) -> SchemaView:
    """Building a schema takes longer than checking a file against it; it never changes."""
    return SchemaView(kind)


def _validate(tree: Tree, model: type[D], kind: str) -> tuple[D | None, list[Trouble]]:
    try:
        return model.model_validate(tree.value, strict=True), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
        return None, explain([e for e in errors if e["type"] != "both_instructions"], tree, _view(kind))


def validate_text(text: str) -> tuple[Gateway | None, list[Trouble]]:
    """A gateway written as YAML, or everything that is wrong in it."""
    try:
        return _validate(read_tree(text), Gateway, "gateway")
    except SyntaxTrouble as stop:
        return None, [stop.trouble]


def _both_instructions(tree: Tree) -> list[Trouble]:
    """Looked for here and not by the model, whose check waits until every field is right by itself."""
    path: FieldPath = ("instructions_file",)
    if tree.at(path) is None or tree.at(("instructions",)) is None:
        return []
    first = tree.key_line(("instructions",))
    problem = f"cannot stand beside instructions (line {first}); keep one of the two"
    return [Trouble(tree.key_line(path), path, problem)]


def _unknown_models(
    tree: Tree, providers: Mapping[str, Provider] | None, paths: Iterable[FieldPath]
) -> list[Trouble]:
    troubles = []
    for path in paths:
        reference = tree.at(path)
        if isinstance(reference, str) and reference and not looks_secret(reference):
            try:
                name, _ = split_model_ref(reference)
                if providers is not None and name not in providers:
                    raise unknown_name("provider", name, providers, otherwise="name it in aivax.yaml")
            except AivaxError as error:
                troubles.append(Trouble(tree.line(path), path, str(error)))
    return troubles


def _instructions(file: Path, tree: Tree, root: Path) -> tuple[str | None, Path | None, Trouble | None]:
    """The system message: its text, the file it came from if any, and what is wrong with that file."""
    field: FieldPath = ("instructions_file",)
    given = tree.at(field)
    inline = tree.at(("instructions",))
    if not isinstance(given, str) or looks_secret(given):
        return inline if isinstance(inline, str) else None, None, None

    def trouble(problem: str) -> tuple[None, None, Trouble]:
        return None, None, Trouble(tree.line(field), field, problem)

    path = file.parent / given
    try:
        inside = path.resolve().is_relative_to(root.resolve()) and not Path(given).is_absolute()
        present = path.exists()
    except (OSError, ValueError, RuntimeError):  # a name too long, a null byte, a circle of links
        return trouble("must be the name of a text file")
    if not inside:
        return trouble(f"{shown(given)} is outside of the workspace; keep it in there, relative to this file")
    if not present:
        return trouble(f"no such file: {shown(given)}{_similar_file(path)}")
    text, problem = read_text(path)
    if text is None:
        return trouble(f"{shown(given)} {problem.problem}")
    if looks_secret(text):
        return trouble(f"{shown(given)} holds what looks like a key; remove it there")
    return text, path, None


def _similar_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def _secrets(tree: Tree) -> list[Trouble]:
    """Literal keys, wherever they stand. The value itself is never repeated."""
    troubles = []
    for path, value in tree.scalars():
        if value is None or isinstance(value, bool):
            continue
        text = str(value)
        named = next((s for s in reversed(path) if isinstance(s, str)), "")
        if looks_secret(text) or (text and names_secret(named)):
            troubles.append(Trouble(tree.line(path), path, _instead_of_key(text), alone=True))
    return troubles


def _instead_of_key(value: str) -> str:
    if variable := re.fullmatch(r"\$\{?(\w+)\}?", value):
        return f"keys are never read from YAML, nor are variables filled in; write api_key_env: {variable[1]}"
    return (
        "a literal key must not stand in a file that is kept and shared; "
        "put it in an environment variable and name that in api_key_env, or a command in api_key_command"
    )


def _faults(shown_as: str, troubles: Iterable[Trouble]) -> tuple[Fault, ...]:
    """Troubles as faults in the order of the file; of a literal key, only that it is one."""
    found = list(troubles)
    settled = {trouble.path for trouble in found if trouble.alone}
    kept: dict[tuple[int, FieldPath, str], Fault] = {}
    for trouble in found:
        if trouble.alone or trouble.path not in settled:
            field, problem = _one_line(dotted(trouble.path)), _one_line(trouble.problem)
            fault = Fault(shown_as, trouble.line, field, problem)
            kept.setdefault((trouble.line, trouble.path, trouble.problem), fault)
    return tuple(sorted(kept.values(), key=lambda fault: fault.line))


def _one_line(text: str) -> str:
    return " ".join(redact(text).split())
