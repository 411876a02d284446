"""A definition file → its model, or every fault in it with file, line, field and a suggestion."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from msgspec import Struct, field
from pydantic import ValidationError

from aivax_cli.core.errors import AivaxError, Fault, UsageError, unknown_name
from aivax_cli.gateway.basics import Definition
from aivax_cli.gateway.check_file import CheckFile
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.explain import dotted, explain, shown
from aivax_cli.gateway.inheriting import inherited, with_bases
from aivax_cli.gateway.knowledge import Collection
from aivax_cli.gateway.places import is_base_only
from aivax_cli.gateway.prefills import prefill_problem
from aivax_cli.gateway.providers import (
    PROVIDERS,
    Provider,
    price_problem,
    provider_problem,
    resolve_model,
    split_model_ref,
)
from aivax_cli.gateway.response_schema import file_schema, names_file, schema_fault
from aivax_cli.gateway.schema import schema_view
from aivax_cli.gateway.secrets import looks_secret, redact
from aivax_cli.gateway.settable import lock_problem
from aivax_cli.gateway.settings import WorkspaceSettings
from aivax_cli.gateway.variables import Written, filled
from aivax_cli.gateway.yamlfile import display as display
from aivax_cli.gateway.yamlfile import read_text as read_text
from aivax_cli.gateway.yamlfile import read_yaml
from aivax_cli.gateway.yamltree import FieldPath, Tree, Trouble

_UNFINISHED = frozenset({"missing", "no_level", "rerank_model"})
"""What is no fault of a base that is not used by itself."""

D = TypeVar("D", bound=Definition)


class Reading(Struct, Generic[D], frozen=True):
    """What came of reading one file: `definition` is None exactly when there are faults.

    `tree` is there whenever the text was YAML at all, also when it was no valid definition. `written` is what
    the text says wherever a variable was filled in.
    """

    file: Path
    shown_as: str
    definition: D | None
    tree: Tree | None
    faults: tuple[Fault, ...]
    written: Written = field(default_factory=dict)

    def claim(self, field: str) -> str | None:
        """The text of a top-level field, read also from a file that has faults."""
        value = self.tree.at((field,)) if self.tree else None
        return value if isinstance(value, str) else None


class GatewayReading(Reading[Gateway], frozen=True):
    """A gateway file. `instructions` is the text of the system message, whichever field it came from.

    `bases` are the files that it extends, the nearest first; `tree` holds what it has from them.
    """

    instructions: str | None = None
    instructions_file: Path | None = None
    bases: tuple[Path, ...] = ()
    start: Path = Path()


def read_gateway(
    file: Path,
    *,
    root: Path,
    start: Path,
    providers: Mapping[str, Provider] | None,
    environ: Mapping[str, str] = os.environ,
) -> GatewayReading:
    """Reads a gateway. Never raises for what the file holds: that is in `faults`.

    `root` bounds `instructions_file`; paths are shown relative to `start`. Without `providers` (because
    `aivax.yaml` is broken) no provider is called unknown. A base alone (`_….yaml`) has no definition.
    """
    shown_as = display(file, start)
    own, troubles = read_yaml(file)
    if own is None:
        return GatewayReading(file, shown_as, None, None, _faults(shown_as, troubles))
    lineage = with_bases(file, own)
    tree = lineage.tree
    unfinished = is_base_only(file) or not lineage.whole
    definition, written, problems = _validate(tree, Gateway, "gateway", environ, unfinished=unfinished)
    problems += _beyond_the_fields(file, tree, root, definition, providers)
    text, text_file, trouble = _instructions(file, tree, root)
    problems += [trouble] if trouble else []
    found = [(display(place, start), each) for place, each in lineage.troubles]
    found += [(shown_as, each) for each in troubles]
    found += [(_shown_file(tree, each.path, shown_as, start), each) for each in problems]
    faults = _ordered(found, shown_as)
    sound = None if faults or is_base_only(file) else definition
    return GatewayReading(file, shown_as, sound, tree, faults, written, text, text_file, lineage.bases, start)


def _beyond_the_fields(
    file: Path,
    tree: Tree,
    root: Path,
    definition: Gateway | None,
    providers: Mapping[str, Provider] | None,
) -> list[Trouble]:
    """What is wrong with a gateway though each of its fields may be right by itself."""
    problems = _both_instructions(tree)
    problems += _unknown_models(tree, providers, _model_places(tree))
    problems += _unknown_locks(tree)
    problems += _response_schema(file, tree, root)
    if definition is not None and providers is not None:
        problems += _prefill_refused(tree, definition, providers)
    return problems


def inheritance(reading: GatewayReading) -> dict[str, tuple[Path, int]]:
    """The fields that a gateway has from its bases, dotted, with the place of each."""
    if reading.tree is None:
        return {}
    return {
        dotted(path): (place.file, reading.tree.line(path))
        for path, place in inherited(reading.tree).items()
        if place.file is not None
    }


def stands_at(reading: GatewayReading, name: str) -> str:
    """Where a top-level field of a gateway stands, as `file:line`; nothing for one that it has not."""
    if reading.tree is None or (name,) not in reading.tree.places:
        return ""
    file = _shown_file(reading.tree, (name,), reading.shown_as, reading.start)
    return f"{file}:{reading.tree.key_line((name,))}"


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


def read_check_file(file: Path, *, start: Path) -> Reading[CheckFile]:
    """Reads a file of checks; ids of tests are its own."""
    reading = _plain(file, start, CheckFile, "checks")
    if reading.definition is None or reading.tree is None:
        return reading
    first: dict[str, int] = {}
    faults = []
    for number, test in enumerate(reading.definition.tests):
        line = reading.tree.line(("tests", number, "id"))
        if test.id in first:
            problem = f"'{test.id}' is also the id of the test in line {first[test.id]}"
            faults.append(Fault(reading.shown_as, line, f"tests[{number}].id", problem))
        first.setdefault(test.id, line)
    return Reading(file, reading.shown_as, None, reading.tree, tuple(faults)) if faults else reading


def _plain(
    file: Path, start: Path, model: type[D], kind: str, environ: Mapping[str, str] = os.environ
) -> Reading[D]:
    shown_as = display(file, start)
    tree, troubles = read_yaml(file, may_be_empty=True)
    definition, written = None, Written()
    if tree is not None:
        definition, written, problems = _validate(tree, model, kind, environ)
        troubles += problems
    faults = _faults(shown_as, troubles)
    return Reading(file, shown_as, None if faults else definition, tree, faults, written=written)


def _validate(
    tree: Tree, model: type[D], kind: str, environ: Mapping[str, str], *, unfinished: bool = False
) -> tuple[D | None, Written, list[Trouble]]:
    """The definition, with variables filled in. Of an `unfinished` one nothing is called missing."""
    value, written, troubles = filled(tree, kind, environ)
    try:
        return model.model_validate(value, strict=True), written, troubles
    except ValidationError as error:
        known = {"both_instructions", *(_UNFINISHED if unfinished else ())}
        errors = [each for each in error.errors(include_url=False) if each["type"] not in known]
        return None, written, [*troubles, *explain(errors, tree, schema_view(kind))]


def _both_instructions(tree: Tree) -> list[Trouble]:
    """Looked for here and not by the model, whose check waits until every field is right by itself."""
    path: FieldPath = ("instructions_file",)
    if tree.at(path) is None or tree.at(("instructions",)) is None:
        return []
    first = tree.key_line(("instructions",))
    problem = f"cannot stand beside instructions (line {first}); keep one of the two"
    return [Trouble(tree.key_line(path), path, problem)]


def _model_places(tree: Tree) -> list[FieldPath]:
    """Every place where a gateway may name a model."""

    def items(*path: str) -> list[FieldPath]:
        found = tree.at(path)
        return [(*path, i) for i in range(len(found))] if isinstance(found, list) else [path]

    levels: list[FieldPath] = [("routing", role) for role in ("router", "low", "medium", "high")]
    return [*items("model"), ("knowledge", "rerank", "model"), *items("rewrite", "models"), *levels]


def _unknown_locks(tree: Tree) -> list[Trouble]:
    names = tree.at(("locked",))
    paths: list[FieldPath] = [("locked", i) for i in range(len(names) if isinstance(names, list) else 0)]
    return [
        Trouble(tree.line(path), path, problem)
        for path in paths
        if isinstance(name := tree.at(path), str) and name and (problem := lock_problem(name))
    ]


def _prefill_refused(tree: Tree, definition: Gateway, providers: Mapping[str, Provider]) -> list[Trouble]:
    """The models of a gateway that would not continue its prefill."""
    if not definition.prefill:
        return []
    routing = definition.routing
    levels = [routing.low, routing.medium, routing.high] if routing else []
    try:
        targets = [resolve_model(each, providers) for each in (*definition.models, *levels) if each]
    except AivaxError:
        return []  # the model's own fault, which is told where it stands
    path: FieldPath = ("prefill",)
    problems = dict.fromkeys(problem for each in targets if (problem := prefill_problem(each)))
    return [Trouble(tree.key_line(path), path, problem) for problem in problems]


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
                problem = _NO_VARIABLE if "${" in reference else str(error)
                troubles.append(Trouble(tree.line(path), path, problem))
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

    path = (tree.file(field) or file).parent / given
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


def _response_schema(file: Path, tree: Tree, root: Path) -> list[Trouble]:
    """What is wrong with the JSON Schema, or with the file that holds it."""
    field: FieldPath = ("response_schema",)
    value = tree.at(field)
    if not isinstance(value, (str, dict)) or (isinstance(value, str) and (not value or looks_secret(value))):
        return []
    if isinstance(value, dict) or not names_file(value):
        fault = schema_fault(value)
        path = (*field, *fault.path) if fault else field
        return [Trouble(tree.line(path), path, fault.problem)] if fault else []
    try:
        file_schema(value.strip(), (tree.file(field) or file).parent, root)
    except UsageError as error:
        return [Trouble(tree.line(field), field, str(error))]
    return []


def _similar_file(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


_NO_VARIABLE = "no variable is filled in here, but in addresses alone; write a mapping with base_url and name"


def _shown_file(tree: Tree, path: FieldPath, shown_as: str, start: Path) -> str:
    """The file that the line of a trouble counts in."""
    file = tree.file(path)
    return display(file, start) if file else shown_as


def _faults(shown_as: str, troubles: Iterable[Trouble]) -> tuple[Fault, ...]:
    """Troubles of one file as faults, in its order."""
    return _ordered([(shown_as, trouble) for trouble in troubles], shown_as)


def _ordered(found: Sequence[tuple[str, Trouble]], first: str) -> tuple[Fault, ...]:
    """Troubles as faults in the order of their files; of a literal key, only that it is one."""
    settled = {trouble.path for _, trouble in found if trouble.alone}
    kept: dict[tuple[str, int, FieldPath, str], Fault] = {}
    for file, trouble in found:
        if trouble.alone or trouble.path not in settled:
            name, problem = _one_line(dotted(trouble.path)), _one_line(trouble.problem)
            fault = Fault(file, trouble.line, name, problem)
            kept.setdefault((file, trouble.line, trouble.path, trouble.problem), fault)
    return tuple(sorted(kept.values(), key=lambda fault: (fault.file != first, fault.file, fault.line)))


def _one_line(text: str) -> str:
    return " ".join(redact(text).split())
