"""Brings Chroma up to date with the catalogue, in a folder of this machine or on a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma_server import ServerAddress
from aivax_cli.retrieval.records import Collection
from aivax_cli.retrieval.served import sync_served
from aivax_cli.retrieval.snapshots import sync_snapshot


def sync_vectors(
    catalogue: Catalogue,
    collection: Collection,
    directory: Path,
    server: ServerAddress | None,
    on_written: Callable[[int, int], None] = lambda *_: None,
) -> str | None:
    """Makes the collection's index what the catalogue says. The caller holds the write lock.

    `directory` is the workspace's `.aivax`. `on_written` gets how many vectors have been written, and of how
    many. Gives the reason when it could not be done.
    """
    if server is not None:
        return sync_served(catalogue, collection, directory, server, on_written)
    return sync_snapshot(catalogue, collection, directory, on_written)
