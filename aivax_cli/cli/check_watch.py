"""`aivax check --watch`: again at every change of what a run is made of."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aivax_cli.cli.command import Session
    from aivax_cli.gateway.workspace import Workspace

_FOLDERS = ("checks", "gateways", "collections")
_ENDINGS = frozenset((".yaml", ".yml", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".md", ".txt", ".py"))


def run_at_changes(
    session: Session,
    workspace: Workspace,
    paths: Collection[Path],
    written: Collection[Path],
    run: Callable[[], object],
) -> None:
    """Runs at once and at every change, until Ctrl-C. What is wrong is told, and mended meanwhile.

    `paths` are files and folders of checks beside the workspace's own; `written` is what a run itself writes.
    """
    from watchfiles import watch

    from aivax_cli.core.errors import AivaxError

    def told() -> None:
        try:
            run()
        except AivaxError as error:
            session.screen.error(error)

    settings = workspace.root / "aivax.yaml"
    watched = {*(workspace.root / name for name in _FOLDERS), *paths, settings}
    own = {file.resolve() for file in written}
    told()
    session.screen.note("watching for changes; Ctrl-C ends")
    present = [path for path in watched if path.exists()]
    for _ in watch(*present, watch_filter=lambda _, path: matters(Path(path), own), raise_interrupt=True):
        told()
        session.screen.note("watching for changes; Ctrl-C ends")


def matters(path: Path, written: Collection[Path]) -> bool:
    """Whether a change of this file may change a run: no recording, no report, nothing hidden."""
    if path.suffix not in _ENDINGS or path.name.startswith(".") or "cassettes" in path.parts:
        return False
    return path.resolve() not in written
