"""`aivax collections`: list, show and remove what is indexed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import to_builtins

from aivax_cli.cli.command import Session, command, group_default
from aivax_cli.cli.completing import collection_names
from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from aivax_cli.render.screen import Screen
    from aivax_cli.retrieval.records import CollectionSummary, DocumentSummary

collections = typer.Typer()

_NUMBERS = ("documents", "chunks", "tokens", "size")
_LINES_AT_ONCE = 200


@group_default(collections)
def list_collections(session: Session) -> None:
    """List the collections; show, export and remove them."""
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.retrieval.management import list_collections as every

    workspace = find_workspace(session.directory)
    found = every(workspace.state_dir)
    if session.screen.json_output:
        session.screen.data(to_builtins(found))
    elif found:
        session.screen.show(_table(found))
    else:
        session.screen.note("Nothing is indexed yet: aivax ingest FOLDER --collection NAME")


@command(collections, "list")
def list_by_name(session: Session) -> None:
    """List the collections, as the group does without a command."""
    list_collections(session)


@command(collections, "show")
def show(
    session: Session,
    name: Annotated[str, typer.Argument(help="The collection.", autocompletion=collection_names)],
) -> None:
    """Show a collection and its documents."""
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.retrieval.management import show_collection

    workspace = find_workspace(session.directory)
    summary, documents = show_collection(workspace.state_dir, name)
    if session.screen.json_output:
        session.screen.data({**to_builtins(summary), "documents": to_builtins(documents)})
        return
    session.screen.show(_table([summary]))
    session.screen.show("")
    session.screen.show(_documents(documents))


@command(collections, "remove")
def remove(
    session: Session,
    name: Annotated[str, typer.Argument(help="The collection.", autocompletion=collection_names)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a collection from the index. The documents themselves stay where they are."""
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.retrieval.management import remove_collection, show_collection
    from aivax_cli.wiring import vector_server

    workspace = find_workspace(session.directory)
    summary, _ = show_collection(workspace.state_dir, name)
    if not yes and not _confirmed(session.screen, summary):
        raise typer.Exit(1)
    removed = remove_collection(
        workspace.state_dir, name, server=vector_server(workspace), on_problem=session.screen.warn
    )
    if session.screen.json_output:
        session.screen.data({"removed": removed.name, "documents": removed.documents})
    else:
        session.screen.note(f"removed {removed.name}: {removed.documents:,} documents")


@command(collections, "export")
def export(
    session: Session,
    name: Annotated[str, typer.Argument(help="The collection.", autocompletion=collection_names)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write this file instead of stdout.")
    ] = None,
) -> None:
    """Write a collection as JSONL, the format that `aivax ingest FILE.jsonl` reads.

    `aivax collections export kb -o kb.jsonl`
    """
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.retrieval.exporting import export_collection

    workspace = find_workspace(session.directory)
    lines = export_collection(workspace.state_dir, name)
    if output is None:
        for block in _blocks(lines):
            session.screen.write(block)
        return
    count = _write_file(session.directory / output, _blocks(lines))
    if session.screen.json_output:
        session.screen.data({"collection": name, "output": str(output), "lines": count})
    else:
        session.screen.note(f"wrote {output}: {count:,} lines")


def _blocks(lines: Iterator[str]) -> Iterator[str]:
    """Lines with their ends, some at a time."""
    while some := list(islice(lines, _LINES_AT_ONCE)):
        yield "\n".join(some) + "\n"


def _write_file(path: Path, blocks: Iterator[str]) -> int:
    """Writes a file whole or not at all; says how many lines it has."""
    from aivax_cli.storage.whole_file import whole_file

    lines = 0
    try:
        with whole_file(path) as file:
            for block in blocks:
                file.write(block)
                lines += block.count("\n")
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {(error.strerror or str(error)).lower()}",
            fix="check the folder and its permissions",
        ) from error
    return lines


def _confirmed(screen: Screen, summary: CollectionSummary) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(f"removing '{summary.name}' needs a yes", fix="add --yes")
    question = f"Remove {summary.name} ({summary.documents:,} documents) from the index?"
    return typer.confirm(screen.words(question), err=True)


def _table(summaries: Sequence[CollectionSummary]) -> Table:
    from rich.table import Table

    from aivax_cli.render.spoken import Spoken

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("collection", *_NUMBERS, "embedder", "updated"):
        table.add_column(title, justify="right" if title in _NUMBERS else "left")
    for summary in summaries:
        waiting = f" ({summary.pending_documents} waiting)" if summary.pending_documents else ""
        table.add_row(
            summary.name,
            Spoken(f"{summary.documents:,}{waiting}"),
            f"{summary.chunks:,}",
            f"{summary.tokens:,}",
            _size(summary.source_bytes),
            summary.embedder,
            datetime.fromtimestamp(summary.updated_at).strftime("%Y-%m-%d %H:%M"),
        )
    return table


def _documents(documents: Sequence[DocumentSummary]) -> Table:
    from rich.table import Table

    from aivax_cli.render.safe_text import safe_line

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("document", "title", *_NUMBERS[1:]):
        table.add_column(title, justify="right" if title in _NUMBERS else "left")
    for document in documents:
        table.add_row(
            safe_line(document.name),
            safe_line(document.title),
            f"{document.chunks:,}",
            f"{document.tokens:,}",
            _size(document.size_bytes),
        )
    return table


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.1f} kB"
