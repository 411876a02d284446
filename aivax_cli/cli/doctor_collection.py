"""`aivax doctor --collection`: one collection, verified against its files, and mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from aivax_cli.cli.diagnosis import Finding, ok
from aivax_cli.core.errors import AivaxError, NotFoundError

if TYPE_CHECKING:
    from aivax_cli.gateway.workspace import Workspace
    from aivax_cli.retrieval.catalogue import Catalogue
    from aivax_cli.retrieval.verification import Problem, Verified

Told = Iterator[tuple[str, Finding]]
"""Findings, each with the part of the collection that it is about."""

_NO_SOURCE = "FOLDER"


def verify_collection(workspace: Workspace, name: str) -> Told:
    """Everything about the collection, a finding for each problem. Raises NotFoundError."""
    from aivax_cli.retrieval.search import find_collection
    from aivax_cli.retrieval.verification import verify
    from aivax_cli.wiring import vector_server

    catalogue = _open(workspace, name)
    try:
        with catalogue.reading() as reader:
            collection = find_collection(reader, name)
        verified = verify(catalogue, collection, workspace.state_dir, vector_server(workspace))
        yield from _told(workspace, name, catalogue, verified)
    finally:
        catalogue.close()


def repair_collection(workspace: Workspace, name: str, note: Callable[[str], None]) -> Told:
    """What was wrong and was mended, then what a second look finds.

    `note` is told what is waited for. Raises as `ingest.repair.repair` does.
    """
    from aivax_cli.ingest.repair import repair
    from aivax_cli.render.downloads import download_progress
    from aivax_cli.wiring import asset_store, indexing_embedder, vector_server

    catalogue = _open(workspace, name)
    try:
        store = asset_store(on_progress=download_progress(note))
        embedder = indexing_embedder(workspace, name, store, on_problem=note)
        done = repair(workspace.state_dir, name, embedder, server=vector_server(workspace), on_wait=note)
        left = {problem.detail for problem in done.after.problems}
        for problem in done.before:
            if problem.detail not in left:
                yield problem.part, ok(f"mended: {problem.detail}")
        yield from _told(workspace, name, catalogue, done.after)
    finally:
        catalogue.close()


def _open(workspace: Workspace, name: str) -> Catalogue:
    from aivax_cli.retrieval.catalogue import Catalogue

    catalogue = Catalogue.open(workspace.state_dir)
    if catalogue is None:
        fix = f"create it with: aivax ingest FOLDER --collection {name}"
        raise NotFoundError(f"no collection named '{name}'", fix=fix)
    return catalogue


def _told(workspace: Workspace, name: str, catalogue: Catalogue, verified: Verified) -> Told:
    from aivax_cli.ingest.file_check import file_problems
    from aivax_cli.retrieval.verification import Inspector

    problems = list(verified.problems)
    seen = dict(verified.seen)
    sources: tuple[str, ...] = ()
    # A catalogue that cannot be read has been told by now.
    with suppress(AivaxError), catalogue.reading() as reader:
        collection = reader.collection(name)
        if collection is not None:
            sources = reader.sources(collection.id)
            documents = Inspector.over(reader).stored_documents(collection.id)
            problems.extend(file_problems(documents, sources, workspace.root))
            seen["files"] = "as they were ingested"
    troubled = {problem.part for problem in problems}
    for part, told in seen.items():
        if part not in troubled:
            yield part, ok(told)
    for problem in problems:
        fix = _fix(workspace, name, problem, sources)
        yield problem.part, Finding("warning" if problem.waiting else "error", problem.detail, fix)


def _fix(workspace: Workspace, name: str, problem: Problem, sources: tuple[str, ...]) -> str:
    if problem.remedy == "repair":
        return f"aivax doctor --collection {name} --repair"
    if problem.remedy == "server":
        return f"start it, or correct store: in {workspace.shown(workspace.settings_file)}"
    folders = sources or (_NO_SOURCE,)
    with suppress(AivaxError):
        if workspace.collection_definition(name).sources:
            folders = ()
    ingest = " ".join(("aivax ingest", *folders, f"--collection {name}"))
    if problem.remedy == "ingest":
        return ingest
    return f"delete {workspace.state_dir / 'catalogue.db'}, then: {ingest}"
