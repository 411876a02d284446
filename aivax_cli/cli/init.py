"""`aivax init`: a folder becomes a workspace."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct, field

from aivax_cli.cli.command import Session
from aivax_cli.core.errors import AivaxError, UsageError

_EXAMPLE = "my-gateway"
_COLLECTION = "kb"
_IGNORED = ".aivax/"


class _Made(Struct):
    """What `init` did, by paths relative to the workspace; folders end in `/`."""

    root: Path
    created: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)

    def folder(self, name: str) -> Path:
        path = self.root / name
        self._remember(f"{name}/", made=not path.is_dir())
        path.mkdir(parents=True, exist_ok=True)
        return path

    def file(self, name: str, text: str) -> None:
        """Writes a file that is not there yet; one that is stays as it is."""
        try:
            with (self.root / name).open("x", encoding="utf-8") as new:
                new.write(text)
        except FileExistsError:
            self._remember(name, made=False)
        else:
            self._remember(name, made=True)

    def _remember(self, name: str, *, made: bool) -> None:
        (self.created if made else self.present).append(name)


def init(
    session: Session,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The folder; this one when left out.")
    ] = None,
) -> None:
    """Make a workspace with an example to start from.

    Nothing that is already there is changed.
    """
    root = session.directory / folder if folder else session.directory
    try:
        if root.exists() and not root.is_dir():
            raise UsageError(f"{root} is a file", fix="name a folder")
        root.mkdir(parents=True, exist_ok=True)
        made = _make(root)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise AivaxError(f"cannot write in {root}: {reason}", fix="choose a folder of your own") from error
    steps = _next_steps(root, folder)
    if session.screen.json_output:
        session.screen.data({"root": root, "created": made.created, "present": made.present, "next": steps})
        return
    _tell(session, made, steps)


def _make(root: Path) -> _Made:
    from aivax_cli.gateway.ids import new_id
    from aivax_cli.gateway.schema import schema_file_name, write_schema
    from aivax_cli.gateway.templates import DEFAULT_MODEL, collection_text, gateway_text
    from aivax_cli.gateway.workspace import Workspace

    made = _Made(root)
    workspace = Workspace(root)
    for kind in ("gateway", "collection"):
        folder = made.folder(f"{kind}s")
        written = write_schema(folder, kind)
        (made.created if written else made.present).append(f"{kind}s/{schema_file_name(kind)}")
    # An example beside gateways that somebody already has would only be in their way.
    if (
        not workspace.gateway_files()
        or workspace.gateways_dir / f"{_EXAMPLE}.yaml" in workspace.gateway_files()
    ):
        made.file(
            f"gateways/{_EXAMPLE}.yaml",
            gateway_text(
                name=_EXAMPLE,
                identity=new_id(),
                model=DEFAULT_MODEL,
                collection=_COLLECTION,
                description="Answers from the documents in collection kb",
            ),
        )
    if not workspace.collection_files() or (workspace.collections_dir / f"{_COLLECTION}.yaml").exists():
        sources = ["docs"] if (root / "docs").is_dir() else []
        text = collection_text(
            name=_COLLECTION, description="The documents of this workspace", sources=sources
        )
        made.file(f"collections/{_COLLECTION}.yaml", text)
    made.file(".gitignore", f"# What aivax keeps here: indexes and the ledger of costs.\n{_IGNORED}\n")
    return made


def _ignores_state(root: Path) -> bool:
    text = (root / ".gitignore").read_text(encoding="utf-8", errors="replace")
    return any(line.strip().strip("/") == _IGNORED.strip("/") for line in text.splitlines())


def _next_steps(root: Path, folder: Path | None) -> list[str]:
    """Commands to type now."""
    from aivax_cli.gateway.workspace import Workspace

    names = [file.stem for file in Workspace(root).gateway_files()]
    name = _EXAMPLE if _EXAMPLE in names else names[0]
    enter = [f"cd {shlex.quote(str(folder))}"] if folder not in (None, Path()) else []
    return [
        *enter,
        f"aivax ingest ./docs --collection {_COLLECTION}",
        f'aivax complete {name} "What are these documents about?"',
        f"aivax chat {name}",
    ]


def _tell(session: Session, made: _Made, steps: list[str]) -> None:
    from rich.text import Text

    screen = session.screen
    created, kept = screen.words("created"), screen.words("kept")
    width = max(len(created), len(kept)) + 2
    for name in made.created:
        screen.tell(Text.assemble((f"{created:<{width}}", "green"), name))
    for name in made.present:
        there = screen.words("(was already there)")
        screen.tell(Text.assemble((f"{kept:<{width}}", "dim"), name, (f" {there}", "dim")))
    if not _ignores_state(made.root):
        screen.warn(f".gitignore was already there; add the line {_IGNORED} to it")
    next_ = screen.words(f"{made.root} is a workspace. Next, with a folder of documents in ./docs:")
    screen.tell(Text(f"\n{next_}"))
    for step in steps:
        screen.tell(Text(f"  {step}", style="bold"))
