"""Whether the documents of a collection are still what their files on disk hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.documents import Found
from aivax_cli.ingest.shelf import hash_of
from aivax_cli.ingest.supported import SUPPORTED
from aivax_cli.ingest.walk import walk
from aivax_cli.retrieval.records import StoredDocument
from aivax_cli.retrieval.verification import Problem

NAMED = 3
"""How many files of each kind are named."""


def file_problems(
    documents: Iterable[StoredDocument], sources: Sequence[str], base: Path
) -> Iterator[Problem]:
    """Files that are gone, that hold something else than was ingested, and that never were.

    `base` is the workspace, which documents and sources are named from. Every file is read. Documents that
    came otherwise than as a file of their own are passed over.
    """
    gone, changed, unreadable, stored = [], [], [], set()
    for document in documents:
        stored.add(document.name)
        if document.kind not in SUPPORTED:
            continue
        try:
            if hash_of(base / document.name) != document.content_hash:
                changed.append(document.name)
        except FileNotFoundError:
            gone.append(document.name)
        except OSError:
            unreadable.append(document.name)
    new = [name for name in _walked(sources, base) if name not in stored]
    for names, what in (
        (gone, "are gone, their documents are still found"),
        (changed, "have changed since they were ingested"),
        (unreadable, "cannot be read any more"),
        (new, "are in the ingested folders but not in the collection"),
    ):
        if names:
            yield Problem("files", f"{len(names):,} {what}: {_some(names)}", "ingest", waiting=True)


def _walked(sources: Sequence[str], base: Path) -> list[str]:
    """The files below what was ingested; none when a part of it is gone, whose documents tell that."""
    paths = [path for source in sources if (path := base / source).exists()]
    try:
        found = walk(paths, base=base) if paths else ()
        return [item.name for item in found if isinstance(item, Found) and not item.is_import]
    except IngestError:
        return []


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")
