"""Collections as things to list, look into and remove."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aivax_cli.core.errors import NotFoundError
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma import ChromaFailedError
from aivax_cli.retrieval.chroma_server import ChromaServer, ServerAddress
from aivax_cli.retrieval.locking import write_lock
from aivax_cli.retrieval.records import CollectionSummary, DocumentSummary
from aivax_cli.retrieval.search import find_collection
from aivax_cli.retrieval.served import forget_unused
from aivax_cli.retrieval.served_journal import Journal
from aivax_cli.retrieval.snapshots import SNAPSHOTS, sweep


def list_collections(directory: Path) -> list[CollectionSummary]:
    """The collections in a workspace's `.aivax`, by name; none when nothing was ever ingested."""
    catalogue = Catalogue.open(directory)
    if catalogue is None:
        return []
    try:
        with catalogue.reading() as reader:
            return [reader.summary(collection) for collection in reader.collections()]
    finally:
        catalogue.close()


def show_collection(directory: Path, name: str) -> tuple[CollectionSummary, list[DocumentSummary]]:
    """One collection and its documents. Raises NotFoundError with the nearest name."""
    catalogue = existing(directory, name)
    try:
        with catalogue.reading() as reader:
            collection = find_collection(reader, name)
            return reader.summary(collection), reader.document_summaries(collection.id)
    finally:
        catalogue.close()


def remove_collection(
    directory: Path,
    name: str,
    *,
    server: ServerAddress | None = None,
    wait_s: float | None = None,
    on_problem: Callable[[str], None] = lambda _: None,
) -> CollectionSummary:
    """Removes a collection with everything in it, and gives what it was.

    Documents on disk are not touched. Its vectors on `server` go, too; `on_problem` is told when that has to
    wait, which it does for the next writer. Raises NotFoundError, and IngestError when another
    process writes for longer than `wait_s` seconds.
    """
    existing(directory, name).close()
    with write_lock(directory, purpose=f"removing '{name}'", wait_s=wait_s):
        catalogue = Catalogue.create(directory)
        try:
            with catalogue.writing() as writer:
                collection = find_collection(writer, name)
                summary = writer.summary(collection)
                writer.remove_collection(collection.id)
            # From here on nothing points at the folders: if this is cut short, the next writer removes them.
            with catalogue.reading() as reader:
                sweep(directory / SNAPSHOTS, reader.collections())
            if server is not None and (problem := _forgotten(catalogue, directory, server)):
                on_problem(problem)
        finally:
            catalogue.close()
    return summary


def _forgotten(catalogue: Catalogue, directory: Path, address: ServerAddress) -> str | None:
    """Removes from a server what nothing points at; gives the reason when that could not be done."""
    try:
        server = ChromaServer(address, wait_s=address.write_wait_s)
        try:
            forget_unused(catalogue, server, Journal(directory, address))
        finally:
            server.close()
    except (ChromaFailedError, OSError) as error:
        return f"its vectors are still on {address.url}: {error}; the next ingest removes them"
    return None


def existing(directory: Path, name: str) -> Catalogue:
    """The workspace's catalogue, for reading; the caller closes it. Raises NotFoundError without one."""
    catalogue = Catalogue.open(directory)
    if catalogue is None:
        raise NotFoundError(
            f"no collection named '{name}'", fix=f"create it with: aivax ingest FOLDER --collection {name}"
        )
    return catalogue
