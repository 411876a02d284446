"""`aivax ingest`: documents into a collection."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from aivax_cli.cli.command import Session
from aivax_cli.cli.completing import collection_names
from aivax_cli.core.errors import AivaxError, UsageError

if TYPE_CHECKING:
    from aivax_cli.gateway.workspace import Workspace
    from aivax_cli.ingest.progress import IngestSummary
    from aivax_cli.ingest.run import IngestRequest
    from aivax_cli.retrieval.embedding.base import Embedder

_MB = 1_000_000
_STDIN = Path("-")
_YOUNG_OBJECTS = 5_000
"""After how many new ones Python looks for garbage: readers leave much of it, and memory shall stay flat."""


def ingest(
    session: Session,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders and files; `-` is one document from stdin. Without any: the sources in "
            "collections/NAME.yaml."
        ),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option(
            "--collection", "-c", help="The collection they go into.", autocompletion=collection_names
        ),
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(help="Take only files that match, like `*.md`. May be repeated.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Leave out files that match. May be repeated.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What the document from stdin is called, like `notes.md`.")
    ] = None,
    keep_missing: Annotated[
        bool, typer.Option("--keep-missing", help="Keep documents whose file is gone.")
    ] = False,
    reindex: Annotated[bool, typer.Option("--reindex", help="Read and embed everything anew.")] = False,
    max_mb: Annotated[int, typer.Option(min=1, help="Leave out files larger than this.")] = 50,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and what it would cost; do nothing.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and ingest again whenever a file changes.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Fail at once when another ingest is at work.")
    ] = False,
) -> None:
    """Read documents, cut them into chunks and index them.

    `aivax ingest ./docs --collection kb`

    Unchanged files cost nothing. An ingest that was stopped goes on when it is run again. A `.jsonl` file
    whose lines have `docid` and `text` holds a document a line.
    """
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.ingest.run import IngestRequest

    workspace = find_workspace(session.directory)
    target = collection or _only_collection(workspace)
    from_stdin = _is_stdin(paths or [], name, watch=watch)
    request = IngestRequest(
        paths=() if from_stdin else tuple(_sources(session, workspace, target, paths or [])),
        collection=target,
        base=workspace.root,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        max_bytes=max_mb * _MB,
        keep_missing=keep_missing,
        reindex=reindex,
        chunk_tokens=workspace.collection_definition(target).chunk_tokens,
    )
    gc.set_threshold(_YOUNG_OBJECTS, 10, 10)
    with _stdin_document(request, name if from_stdin else None) as given:
        if dry_run:
            _plan(session, workspace, given)
        elif watch:
            _watch(session, workspace, given)
        else:
            _once(session, workspace, given, wait_s=0 if no_wait else None)


def _only_collection(workspace: Workspace) -> str:
    defined = [file.stem for file in workspace.collection_files()]
    if len(defined) == 1:
        return defined[0]
    raise UsageError("which collection?", fix="name it: --collection NAME")


def _is_stdin(paths: list[Path], name: str | None, *, watch: bool) -> bool:
    """Whether the document comes from stdin. Raises UsageError for what does not go together."""
    if _STDIN not in paths:
        if name is not None:
            raise UsageError("--name is for a document from stdin", fix="give `-` as the path")
        return False
    if len(paths) > 1 or watch:
        raise UsageError("`-` reads one document from stdin, and nothing else", fix="ingest the rest apart")
    if name is None:
        raise UsageError("a document from stdin needs a name", fix="add --name, for example --name notes.md")
    if not name.strip() or len(name) > 256 or not name.isprintable():
        raise UsageError("--name: no name for a document", fix="take 1 to 256 printable characters")
    return True


@contextmanager
def _stdin_document(request: IngestRequest, name: str | None) -> Iterator[IngestRequest]:
    """The request with the document from stdin, which is a file for as long as it is read."""
    from aivax_cli.ingest.documents import Found

    if name is None:
        yield request
        return
    data = sys.stdin.buffer.read()
    if not data.strip():
        raise UsageError("stdin is empty", fix=f"pipe a document into it: aivax ingest - --name {name}")
    if len(data) > request.max_bytes:
        raise UsageError("stdin holds more than --max-mb allows", fix="raise it")
    import tempfile

    with tempfile.TemporaryDirectory(prefix="aivax-") as folder:
        path = Path(folder) / f"document{Path(name).suffix.lower()[:16]}"
        path.write_bytes(data)
        yield replace(request, document=Found(path, name))


def _sources(session: Session, workspace: Workspace, name: str, given: list[Path]) -> list[Path]:
    if given:
        return [path if path.is_absolute() else session.directory / path for path in given]
    sources = workspace.collection_definition(name).sources
    if not sources:
        fix = f"give a folder: aivax ingest ./docs --collection {name}"
        raise UsageError("nothing to ingest was named", fix=fix)
    return [workspace.root / source for source in sources]


def _plan(session: Session, workspace: Workspace, request: IngestRequest) -> None:
    from aivax_cli.ingest.plan import plan
    from aivax_cli.render.ingest_view import notice_lines, plan_object, plan_view
    from aivax_cli.wiring import asset_store, indexing_estimator

    estimator = indexing_estimator(workspace, request.collection, asset_store())
    found = plan(request, workspace.state_dir, estimator)
    for line in notice_lines(found, session.screen):
        session.screen.warn(line)
    if session.screen.json_output:
        session.screen.data(plan_object(found))
    else:
        session.screen.show(plan_view(found))


def _once(session: Session, workspace: Workspace, request: IngestRequest, *, wait_s: float | None) -> None:
    from aivax_cli.render.ingest_view import notice_lines, summary_object, summary_view

    screen = session.screen
    summary = _run(session, workspace, request, wait_s=wait_s)
    for line in notice_lines(summary, screen):
        screen.warn(line)
    if screen.json_output:
        screen.data(summary_object(summary))
    else:
        screen.tell(summary_view(summary))
    if summary.failed:
        raise typer.Exit(1)


def _watch(session: Session, workspace: Workspace, request: IngestRequest) -> None:
    """A pass now and after every change, a line each, until Ctrl-C: that is how it is meant to end."""
    from aivax_cli.ingest.watching import passes
    from aivax_cli.render.ingest_view import notice_lines, pass_line, summary_object

    screen = session.screen
    embedder: Embedder | None = None
    begun = False
    try:
        for _ in passes(request.paths):
            try:
                embedder = embedder or _embedder(session, workspace, request.collection, session.screen.note)
                summary = _run(session, workspace, request, wait_s=None, embedder=embedder)
            except AivaxError as error:
                if not begun:
                    raise
                screen.warn(str(error))
                continue
            for line in notice_lines(summary, screen):
                screen.warn(line)
            if screen.json_output:
                screen.data(summary_object(summary))
            else:
                screen.note(pass_line(summary))
            if not begun:
                screen.note("watching for changes; stop with Ctrl-C")
            # What was asked for once is done: later passes take what has changed.
            begun, request = True, replace(request, reindex=False)
    except KeyboardInterrupt:
        screen.note("stopped; what is not done yet is done by the next ingest")


def _embedder(
    session: Session, workspace: Workspace, collection: str, note: Callable[[str], None]
) -> Embedder:
    from aivax_cli.render.downloads import download_progress
    from aivax_cli.wiring import asset_store, indexing_embedder

    store = asset_store(on_progress=download_progress(note))
    return indexing_embedder(workspace, collection, store, on_problem=session.screen.warn)


def _run(
    session: Session,
    workspace: Workspace,
    request: IngestRequest,
    *,
    wait_s: float | None,
    embedder: Embedder | None = None,
) -> IngestSummary:
    from aivax_cli.ingest.run import ingest as run_ingest
    from aivax_cli.render.ingest_view import IngestProgress
    from aivax_cli.wiring import vector_server

    with IngestProgress(session.screen) as progress:
        if embedder is None:
            embedder = _embedder(session, workspace, request.collection, progress.note)
        return run_ingest(
            request,
            workspace.state_dir,
            embedder,
            server=vector_server(workspace),
            on_progress=progress.update,
            on_wait=progress.note,
            wait_s=wait_s,
        )
