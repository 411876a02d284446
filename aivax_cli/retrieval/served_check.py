"""A look into a collection's index on a server: whether it holds every vector, and finds them."""

from __future__ import annotations

from aivax_cli.retrieval.chroma import ChromaFailedError
from aivax_cli.retrieval.chroma_server import ChromaServer, ServedVectors, ServerAddress, ServerDownError
from aivax_cli.retrieval.reader import Reader
from aivax_cli.retrieval.records import Collection
from aivax_cli.retrieval.served import OTHER_STATE, Held, check_sound

PROBES = 512
"""Vectors that are asked for; more than after each ingest, as nobody waits for a doctor's every second."""


def served_fault(reader: Reader, collection: Collection, address: ServerAddress) -> tuple[str, bool] | None:
    """What is wrong with the index, and whether that is the connection alone; None when nothing is."""
    held = Held.of(collection)
    try:
        server = ChromaServer(address, wait_s=address.write_wait_s)
        try:
            if held is None:
                server.check()
                return "not built there; searches scan instead", False
            fault = _fault(reader, collection, held, server)
        finally:
            server.close()
    except ServerDownError as error:
        return str(error), True
    except ChromaFailedError as error:
        fault = str(error)
    return None if fault is None else (fault, False)


def _fault(reader: Reader, collection: Collection, held: Held, server: ChromaServer) -> str | None:
    served = server.open(held.name)
    if served is None:
        return "the collection is gone from it"
    if not held.knows(served.opened_at):
        return OTHER_STATE
    if held.coming is not None:
        return "an ingest that was stopped left it unfinished"
    if (missing := _missing(reader, collection, served)) is not None:
        return missing
    check_sound(reader, collection, served, PROBES)
    return None


def _missing(reader: Reader, collection: Collection, served: ServedVectors) -> str | None:
    expected = reader.vector_ids(collection.id, 0, collection.snapshot_last)
    there = served.ids()
    if missing := len(expected - there):
        return f"{missing:,} of {len(expected):,} vectors are missing"
    if len(there) != collection.snapshot_vectors:
        return f"holds {len(there):,} vectors, not {collection.snapshot_vectors:,}"
    return None
