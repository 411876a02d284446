"""`aivax gateways`: list, show, make and check gateways."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aivax_cli.cli.command import Session, command, group_default
from aivax_cli.cli.completing import collection_names, gateway_names, model_names
from aivax_cli.core.errors import AivaxError, Fault, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from aivax_cli.gateway.loading import GatewayReading
    from aivax_cli.gateway.workspace import Workspace

gateways = typer.Typer()


@group_default(gateways)
def list_gateways(session: Session) -> None:
    """List the gateways; show, make and check them."""
    from aivax_cli.gateway.workspace import find_workspace

    workspace = find_workspace(session.directory)
    readings = list(workspace.readings())
    if session.screen.json_output:
        session.screen.data([_record(reading) for reading in readings])
    elif readings:
        session.screen.show(_table(readings))
        for reading in readings:
            if reading.faults:
                more = len(reading.faults) - 1
                rest = f" (and {more} more: aivax gateways validate)" if more else ""
                session.screen.warn(f"{reading.faults[0]}{rest}")
    else:
        folder = workspace.shown(workspace.gateways_dir)
        session.screen.note(f"No gateway in {folder}: `aivax gateways new NAME` makes one.")


@command(gateways, "list")
def list_by_name(session: Session) -> None:
    """List the gateways, as the group does without a command."""
    list_gateways(session)


@command(gateways, "show")
def show(
    session: Session,
    gateway: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="File name, name, slug `name:final4` or full id.",
            autocompletion=gateway_names,
        ),
    ],
) -> None:
    """Print a gateway with every default filled in.

    Says where its instructions come from and which models it calls, in which order.
    """
    from aivax_cli.cli.gateway_models import model_lines, models_record
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.gateway.writing import (
        as_written,
        inheritance_lines,
        inheritance_record,
        resolved,
        to_yaml,
    )
    from aivax_cli.wiring import plan_turn

    workspace = find_workspace(session.directory)
    loaded = workspace.load(gateway)
    definition = resolved(loaded)
    plan = plan_turn(loaded, workspace)
    own = loaded.inherited.get("instructions", (loaded.file, 0))[0]
    source = loaded.instructions_file or (own if loaded.instructions else None)
    instructions_from = workspace.shown(source) if source else None
    filled_in = workspace.filled_in() | loaded.filled_in()
    if session.screen.json_output:
        record = {
            "file": workspace.shown(loaded.file),
            "slug": loaded.definition.slug,
            **inheritance_record(loaded, workspace),
            "instructions_from": instructions_from,
            **models_record(plan),
            "definition": definition,
        }
        session.screen.data(as_written(record, filled_in))
        return
    told = [instructions_from, *(source.url for source in loaded.definition.remote_instructions)]
    session.screen.write(
        f"# {workspace.shown(loaded.file)}, addressed as {loaded.definition.slug}\n"
        + as_written(f"# instructions: {', then '.join(filter(None, told)) or 'none'}\n", filled_in)
        + "".join(f"# {line}\n" for line in inheritance_lines(loaded, workspace))
        + as_written("".join(f"# {line}\n" for line in model_lines(plan)), filled_in)
        + to_yaml(as_written(definition, filled_in))
    )


@command(gateways, "new")
def new(
    session: Session,
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, `.`, `_` and `-`.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="`@provider/name`; the embedded model when left out.",
            autocompletion=model_names,
        ),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option(
            "--collection",
            "-c",
            help="The collection that grounds its answers.",
            autocompletion=collection_names,
        ),
    ] = None,
) -> None:
    """Write a new gateway to edit, with an id of its own and comments for every field."""
    from aivax_cli.gateway.ids import new_id
    from aivax_cli.gateway.schema import write_schema
    from aivax_cli.gateway.templates import DEFAULT_MODEL, gateway_text
    from aivax_cli.gateway.workspace import find_workspace

    workspace = find_workspace(session.directory)
    _check_new(workspace, name, model, collection)
    identity = new_id()
    text = gateway_text(
        name=name, identity=identity, model=model or DEFAULT_MODEL, collection=collection, description=""
    )
    file = workspace.gateways_dir / f"{name}.yaml"
    try:
        workspace.gateways_dir.mkdir(exist_ok=True)
        _write_whole(file, text)
        write_schema(workspace.gateways_dir, "gateway")
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise AivaxError(
            f"cannot write {workspace.shown(file)}: {reason}", fix="look at the folder"
        ) from error
    slug = f"{name}:{identity[-4:]}"
    if session.screen.json_output:
        session.screen.data({"file": workspace.shown(file), "name": name, "id": identity, "slug": slug})
        return
    session.screen.note(f"{workspace.shown(file)} is there, addressed as {name} or {slug}.")
    session.screen.note(f"Edit it, then: aivax chat {name}")


@command(gateways, "validate")
def validate(
    session: Session,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE…]", help="Files or folders; the whole workspace when left out."),
    ] = None,
) -> None:
    """Check definitions and report every fault with its file, line and field.

    Without files: `aivax.yaml`, all gateways and all collections. Exits with 2 when anything is wrong.
    """
    from aivax_cli.gateway.workspace import Workspace, find_workspace

    given = [session.directory / file for file in files or ()]
    try:
        workspace = find_workspace(_folder(given[0]) if given else session.directory)
    except UsageError:
        if not given:
            raise
        workspace = Workspace(_folder(given[0]))
    workspace = Workspace(workspace.root, session.directory)
    checked = [each for place in given for each in _files_of(place)] if given else workspace.every_file()
    faults = workspace.validate_all(checked)
    _report(session, len(checked), faults)
    if faults:
        raise typer.Exit(UsageError.exit_code)


def _folder(place: Path) -> Path:
    return place if place.is_dir() else place.parent


def _files_of(place: Path) -> list[Path]:
    """The definitions that a path stands for: a file, a folder of them, a workspace.

    Raises UsageError for a folder without any.
    """
    from aivax_cli.gateway.places import definition_files
    from aivax_cli.gateway.workspace import Workspace

    if not place.is_dir():
        return [place]
    found = definition_files(place)
    if (place / "gateways").is_dir():
        found = Workspace(place).every_file()
    if not found:
        raise UsageError(f"no definitions in {place}", fix="name a gateway's file, or a folder of them")
    return found


def _report(session: Session, checked: int, faults: Sequence[Fault]) -> None:
    screen = session.screen
    if screen.json_output:
        screen.data({"files": checked, "faults": [_fault_record(fault) for fault in faults]})
        return
    screen.write("".join(f"{screen.fault(fault)}\n" for fault in faults))
    broken = len({fault.file for fault in faults})
    if faults:
        screen.note(f"{_count(len(faults), 'fault')} in {broken} of {_count(checked, 'file')}")
    else:
        screen.note(f"{_count(checked, 'file')} checked, no faults")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _write_whole(file: Path, text: str) -> None:
    """A new file with this text, or none: half a gateway would be a fault of the workspace."""
    with file.open("x", encoding="utf-8") as written:
        try:
            written.write(text)
            written.flush()
        except OSError:
            file.unlink()
            raise


def _check_new(workspace: Workspace, name: str, model: str | None, collection: str | None) -> None:
    """Refuses what would be a fault of the new file. Raises UsageError or NotFoundError."""
    from aivax_cli.gateway.definition import GATEWAY_NAME
    from aivax_cli.gateway.ids import name_from
    from aivax_cli.gateway.knowledge import COLLECTION_NAME
    from aivax_cli.gateway.providers import resolve_model
    from aivax_cli.gateway.secrets import looks_secret

    if not re.fullmatch(GATEWAY_NAME, name):
        near = name_from(name)
        fix = f"for example: aivax gateways new {near}" if near else "choose another"
        raise UsageError(f"'{name}' is no gateway name: lower-case letters, digits, '.', '_', '-'", fix=fix)
    if collection is not None and not re.fullmatch(COLLECTION_NAME, collection):
        raise UsageError(f"'{collection}' is no collection name", fix="use no '/' and no space at its ends")
    if model is not None and looks_secret(model):
        raise UsageError("--model holds what looks like a key", fix='write "@provider/name"')
    if model is not None:
        resolve_model(model, workspace.providers())
    if taken := workspace.claimed_by(name):
        raise UsageError(f"'{name}' is already there: {workspace.shown(taken)}", fix="choose another name")


def _record(reading: GatewayReading) -> dict[str, Any]:
    definition = reading.definition
    knowledge = definition.knowledge if definition else None
    return {
        "file": reading.shown_as,
        "name": definition.name if definition else reading.claim("name"),
        "id": definition.id if definition else reading.claim("id"),
        "slug": definition.slug if definition else None,
        "model": _model_name(reading),
        "strategy": knowledge.strategy if knowledge else None,
        "collections": knowledge.collections if knowledge else [],
        "description": definition.description if definition else None,
        "faults": [_fault_record(fault) for fault in reading.faults],
    }


def _fault_record(fault: Fault) -> dict[str, Any]:
    return {"file": fault.file, "line": fault.line, "field": fault.field, "problem": fault.problem}


def _model_name(reading: GatewayReading) -> str | None:
    model = reading.definition.models[0] if reading.definition else None
    return model if model is None or isinstance(model, str) else f"{model.name} at {model.base_url}"


def _table(readings: Sequence[GatewayReading]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from aivax_cli.render.spoken import Spoken

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "slug", "model", "strategy", "collections", "description"):
        table.add_column(title, overflow="fold")
    for reading in readings:
        record = _record(reading)
        if reading.definition is None:
            count = _count(len(reading.faults), "fault")
            table.add_row(Text(reading.file.stem), Spoken("broken", "red"), "", "", "", Spoken(count))
            continue
        cells = (
            record["name"],
            record["slug"],
            record["model"],
            record["strategy"] or "–",
            ", ".join(record["collections"]) or "–",
            record["description"],
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table
