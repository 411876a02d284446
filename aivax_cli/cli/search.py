"""`aivax search`: what a collection holds on a question."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from aivax_cli.cli.command import Session
from aivax_cli.cli.completing import collection_names
from aivax_cli.core.errors import UsageError

_MOST_NEIGHBOURS = 8


class Match(Enum):
    """How many of the tags a document needs."""

    ANY = "any"
    ALL = "all"


def search(
    session: Session,
    collection: Annotated[
        str,
        typer.Argument(help="The collection to search.", show_default=False, autocompletion=collection_names),
    ],
    terms: Annotated[
        list[str],
        typer.Argument(metavar="TERM...", help="Several terms are a ranked union.", show_default=False),
    ],
    top: Annotated[int, typer.Option(min=1, max=128, help="The most passages.")] = 5,
    min_score: Annotated[
        float, typer.Option(min=0, max=0.99, help="Leave out passages under this score.")
    ] = 0.0,
    reranker: Annotated[str, typer.Option(help="How both sides become one ranking.")] = "fused",
    tag: Annotated[
        list[str] | None, typer.Option(help="Search only documents with this tag. May be repeated.")
    ] = None,
    match: Annotated[Match, typer.Option(help="Documents need any of the tags, or all of them.")] = Match.ANY,
    references: Annotated[
        str,
        typer.Option(metavar="WHAT", help="What a hit brings along: siblings, neighbours, or a number N."),
    ] = "none",
    full: Annotated[bool, typer.Option("--full", help="Show whole passages.")] = False,
) -> None:
    """Search a collection without asking a model.

    `aivax search kb "how is the cost computed?"`
    """
    from aivax_cli.core.types import RetrievalLimits
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.render.answer_json import source_object
    from aivax_cli.render.downloads import download_progress
    from aivax_cli.render.hits import print_hits
    from aivax_cli.retrieval.arranging import in_document_order
    from aivax_cli.wiring import asset_store, knowledge_base

    screen = session.screen
    siblings, neighbours = _references(references)
    limits = RetrievalLimits(
        top, min_score, reranker, None, tuple(tag or ()), match.value, siblings, neighbours
    )
    workspace = find_workspace(session.directory)
    base = knowledge_base(workspace, asset_store(on_progress=download_progress(screen.note)))
    try:
        result = base.search([collection], terms, limits)
        found = result.passages
        if limits.expands:
            found = in_document_order(base.expanded(found, limits))
    finally:
        base.close()
    for problem in result.problems:
        screen.warn(problem)
    if screen.json_output:
        hits = [{"rank": hit.rank, **source_object(hit)} for hit in found]
        screen.data({"collection": collection, "search_terms": terms, "hits": hits})
    elif found:
        print_hits(screen, found, root=workspace.root, full=full)
    else:
        screen.note("nothing matches")


def _references(given: str) -> tuple[bool, int]:
    """Whether hits bring siblings along, and how many neighbours."""
    named = {"none": (False, 0), "siblings": (True, 0), "neighbours": (False, 1), "neighbors": (False, 1)}
    if given in named:
        return named[given]
    if given.isdecimal() and int(given) <= _MOST_NEIGHBOURS:
        return False, int(given)
    raise UsageError(
        f"--references: '{given}'", fix="choose siblings, neighbours, or a number of chunks from 0 to 8"
    )
