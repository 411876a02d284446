"""`aivax ingest`: documents into a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aivax_cli.cli.command import Session
from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from aivax_cli.gateway.workspace import Workspace
    from aivax_cli.ingest.progress import IngestSummary
    from aivax_cli.ingest.run import IngestRequest

_MB = 1_000_000


def ingest(
    session: Session,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders and files. Without any: the sources in collections/NAME.yaml."),
    ] = None,
    collection: Annotated[
        str | None, typer.Option("--collection", "-c", help="The collection they go into.")
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(help="Take only files that match, like `*.md`. May be repeated.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Leave out files that match. May be repeated.")
    ] = None,
    keep_missing: Annotated[
        bool, typer.Option("--keep-missing", help="Keep documents whose file is gone.")
    ] = False,
    reindex: Annotated[bool, typer.Option("--reindex", help="Read and embed everything anew.")] = False,
    max_mb: Annotated[int, typer.Option(min=1, help="Leave out files larger than this.")] = 50,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Fail at once when another ingest is at work.")
    ] = False,
) -> None:
    """Read documents, cut them into chunks and index them.

    `aivax ingest ./docs --collection kb`

    Unchanged files cost nothing. An ingest that was stopped goes on when it is run again.
    """
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.ingest.run import IngestRequest

    workspace = find_workspace(session.directory)
    name = collection or _only_collection(workspace)
    request = IngestRequest(
        paths=tuple(_sources(session, workspace, name, paths or [])),
        collection=name,
        base=workspace.root,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        max_bytes=max_mb * _MB,
        keep_missing=keep_missing,
        reindex=reindex,
        chunk_tokens=workspace.collection_definition(name).chunk_tokens,
    )
    summary = _run(session, workspace, request, wait_s=0 if no_wait else None)
    _report(session, summary)
    if summary.failed:
        raise typer.Exit(1)


def _only_collection(workspace: Workspace) -> str:
    defined = [file.stem for file in workspace.collection_files()]
    if len(defined) == 1:
        return defined[0]
    raise UsageError("which collection?", fix="name it: --collection NAME")


def _sources(session: Session, workspace: Workspace, name: str, given: list[Path]) -> list[Path]:
    if given:
        return [path if path.is_absolute() else session.directory / path for path in given]
    sources = workspace.collection_definition(name).sources
    if not sources:
        fix = f"give a folder: aivax ingest ./docs --collection {name}"
        raise UsageError("nothing to ingest was named", fix=fix)
    return [workspace.root / source for source in sources]


def _run(
    session: Session, workspace: Workspace, request: IngestRequest, *, wait_s: float | None
) -> IngestSummary:
    from aivax_cli.ingest.run import ingest as run_ingest
    from aivax_cli.render.ingest_view import IngestProgress
    from aivax_cli.wiring import asset_store, download_progress, indexing_embedder

    screen = session.screen
    with IngestProgress(screen) as progress:
        store = asset_store(on_progress=download_progress(progress.note))
        embedder = indexing_embedder(workspace, request.collection, store, on_problem=screen.warn)
        return run_ingest(
            request,
            workspace.state_dir,
            embedder,
            on_progress=progress.update,
            on_wait=progress.note,
            wait_s=wait_s,
        )


def _report(session: Session, summary: IngestSummary) -> None:
    from aivax_cli.render.ingest_view import notice_lines, summary_object, summary_view

    screen = session.screen
    for line in notice_lines(summary):
        screen.warn(line)
    if screen.json_output:
        screen.data(summary_object(summary))
    else:
        screen.tell(summary_view(summary))
