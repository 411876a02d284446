"""Chroma's index of a collection's vectors on a server, brought up to date in place.

A server's collection is derived from the catalogue, like a snapshot's folder. But it may be lost, others may
write to it, and the catalogue that asks may be an older copy, on another machine. So it carries a revision, a
random word, and the catalogue notes which one it knows:

    name@old        the server is at `old`
    name@old>new    a change is under way: the server is at `old` or `new`, and holds what searches need
    name@new        the change is done

A writer notes `old>new` in the catalogue, marks the server with `new`, and only then changes anything. Killed
at any point, it leaves what readers can use and the next writer goes on from. A reader asks for the revision
after its question: when its view of the catalogue does not know it, the answer may lack something, and the
reader scans instead. A writer that meets a revision it does not know makes a collection of its own.

Vectors leave the catalogue before they leave the server and come into it before they come to the server, and
their ids are never used again: what a server holds beyond the catalogue is passed over.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from msgspec import Struct

from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma import ChromaFailedError
from aivax_cli.retrieval.chroma_server import (
    SERVER_BATCH_ROWS,
    ChromaServer,
    ServedVectors,
    ServerAddress,
    UnsoundError,
)
from aivax_cli.retrieval.names import server_name
from aivax_cli.retrieval.part_building import PROBES_FOUND, stacked, surely_found
from aivax_cli.retrieval.reader import Reader
from aivax_cli.retrieval.records import Collection
from aivax_cli.retrieval.served_journal import Journal
from aivax_cli.retrieval.snapshots import SNAPSHOTS, sweep

PROBES = 64
"""Vectors that a server is asked for after it was written to."""

LARGE = 20_000
"""Vectors from which on `SLACK` holds: finding dead vectors among fewer takes less than a second."""

SLACK = 0.01
"""The part of a large collection that may be dead before the server is asked to forget it. Searches pass over
what is dead."""

NOTED_ROWS = 6_000
"""After this many rows the catalogue notes how far the server is: what a kill costs at most."""

OTHER_STATE = "it belongs to a newer catalogue than this one, or to another"

_HELD = re.compile(r"([A-Za-z0-9._-]+)@([0-9a-f]+)(?:>([0-9a-f]+))?")


class Held(Struct, frozen=True):
    """What the catalogue knows of a collection on a server; see above."""

    name: str
    revision: str
    coming: str | None = None

    @classmethod
    def of(cls, collection: Collection) -> Held | None:
        """None when the collection's vectors are indexed nowhere, or in a folder."""
        found = _HELD.fullmatch(collection.snapshot or "")
        return cls(found[1], found[2], found[3]) if found else None

    def __str__(self) -> str:
        coming = f">{self.coming}" if self.coming else ""
        return f"{self.name}@{self.revision}{coming}"

    def knows(self, revision: str | None) -> bool:
        """Whether a server at this revision holds what this view of the catalogue needs."""
        return revision is not None and revision in (self.revision, self.coming)

    @property
    def revisions(self) -> tuple[str, ...]:
        return (self.revision, self.coming) if self.coming else (self.revision,)


def sync_served(
    catalogue: Catalogue,
    collection: Collection,
    directory: Path,
    address: ServerAddress,
    on_written: Callable[[int, int], None] = lambda *_: None,
) -> str | None:
    """Brings the collection's index on a server up to date with the catalogue.

    `on_written` gets how many new vectors have been written, and of how many.
    The caller holds the write lock. Gives the reason when it could not be done: searches then scan what the
    server lacks, and the next ingest goes on.
    """
    journal = Journal(directory, address)
    try:
        server = ChromaServer(address, wait_s=address.write_wait_s)
        try:
            _Sync(catalogue, collection.name, server, journal, on_written).run()
            forget_unused(catalogue, server, journal)
        finally:
            server.close()
    except (ChromaFailedError, OSError, ValueError) as error:  # ValueError: vectors of several dimensions
        return (
            f"the vector index on {address.url} is not up to date: {error}; "
            "everything is in the catalogue, and the next ingest goes on"
        )
    with catalogue.reading() as reader:
        sweep(directory / SNAPSHOTS, reader.collections())
    return None


def forget_unused(catalogue: Catalogue, server: ChromaServer, journal: Journal) -> None:
    """Removes collections from the server that this workspace made and no longer points at.

    One whose revision is not this workspace's last belongs to a copy of the workspace by now, and stays.
    Raises ChromaFailedError; what is left is removed another time.
    """
    with catalogue.reading() as reader:
        in_use = {held.name for each in reader.collections() if (held := Held.of(each)) is not None}
    for name, revisions in journal.made().items():
        if name in in_use:
            continue
        if server.revision(name) in revisions:
            server.delete(name)
        journal.forget(name)


class _Sync:
    """One collection being brought up to date."""

    def __init__(
        self,
        catalogue: Catalogue,
        name: str,
        server: ChromaServer,
        journal: Journal,
        on_written: Callable[[int, int], None],
    ) -> None:
        self._catalogue = catalogue
        self._name = name
        self._server = server
        self._journal = journal
        self._on_written = on_written

    def run(self) -> None:
        """Raises ChromaFailedError when the server could not be brought up to date."""
        served = self._known()
        if served is not None:
            try:
                self._update(served)
                return
            except UnsoundError:  # it is there, and not what it should be
                pass
        served = self._new()
        if served is not None:
            self._update(served)

    def _collection(self) -> Collection:
        with self._catalogue.reading() as reader:
            collection = reader.collection(self._name)
        assert collection is not None
        return collection

    def _known(self) -> ServedVectors | None:
        """The collection that the catalogue points at, if it is what the catalogue knows of it."""
        collection = self._collection()
        held = Held.of(collection)
        served = None if held is None else self._server.open(held.name)
        if held is None or served is None or not held.knows(served.opened_at):
            return None
        if held.coming is None and served.count() != collection.snapshot_vectors:
            return None
        return served

    def _new(self) -> ServedVectors | None:
        """An empty collection, at which the catalogue points at once; None when there is nothing for it."""
        collection = self._collection()
        with self._catalogue.reading() as reader:
            vectors = reader.count_vectors(collection.id)
        if not vectors:
            self._note(None, 0, 0)
            return None
        self._server.check()
        held = Held(server_name(self._name), _new_revision())
        self._journal.note(held.name, held.revisions)
        served = self._server.create(held.name, held.revision)
        self._note(held, 0, 0)
        return served

    def _update(self, served: ServedVectors) -> None:
        collection = self._collection()
        held = Held.of(collection)
        assert held is not None
        with self._catalogue.reading() as reader:
            lag = _Lag.of(reader, collection)
            if lag.is_due or held.coming is not None:
                self._change(reader, collection, held, served, lag)
            check_sound(reader, self._collection(), served, PROBES)

    def _change(
        self, reader: Reader, collection: Collection, held: Held, served: ServedVectors, lag: _Lag
    ) -> None:
        """Adds what is new and removes what is dead, with the catalogue a step ahead of the server."""
        at = served.revision()
        if at is None or not held.knows(at):
            raise ChromaFailedError("somebody else is writing to it")
        coming = Held(held.name, at, _new_revision())
        last, vectors = collection.snapshot_last, collection.snapshot_vectors
        self._note(coming, last, vectors)
        served.set_revision(coming.coming or at)
        if lag.is_dead_due or held.coming is not None:
            vectors = self._tidy(reader, collection, served)
            self._note(coming, last, vectors)
        noted, written = last, 0
        for rows in _batches(reader.vectors(collection.id, last)):
            served.upsert([number for number, _ in rows], stacked(blob for _, blob in rows))
            last, vectors, noted = rows[-1][0], vectors + len(rows), noted + len(rows)
            written += len(rows)
            self._on_written(written, lag.new)
            if noted >= NOTED_ROWS:
                self._note(coming, last, vectors)
                noted = 0
        self._note(Held(held.name, coming.coming or at), last, vectors)

    def _tidy(self, reader: Reader, collection: Collection, served: ServedVectors) -> int:
        """Makes the server hold exactly the vectors up to the last one noted; says how many these are."""
        living = reader.vector_ids(collection.id, 0, collection.snapshot_last)
        there = served.ids()
        for some in _runs(sorted(there - living)):
            served.delete(some)
        for some in _runs(sorted(living - there)):
            rows = reader.vectors_by_id(collection.id, some)
            served.upsert(list(rows), stacked(rows.values()))
        return len(living)

    def _note(self, held: Held | None, last: int, vectors: int) -> None:
        if held is not None:
            self._journal.note(held.name, held.revisions)
        number = self._collection().id
        with self._catalogue.writing() as writer:
            writer.set_snapshot(number, None if held is None else str(held), last, vectors)


def check_sound(reader: Reader, collection: Collection, served: ServedVectors, probes: int) -> None:
    """Asks a server for vectors that it must hold. Raises UnsoundError when it does not find them."""
    sample = spread_rows(reader, collection, probes)
    found = surely_found(served, sample)
    if found < PROBES_FOUND * len(sample):
        raise UnsoundError(f"finds only {found} of {len(sample)} vectors when asked for them")


def spread_rows(reader: Reader, collection: Collection, count: int) -> dict[int, bytes]:
    """At most `count` of the vectors that the index must hold, spread over their ids.

    Those that are damaged in the catalogue are left out: that is not the index's fault.
    """
    step = max(1, collection.snapshot_last // count)
    rows: dict[int, bytes] = {}
    for after in range(0, collection.snapshot_last, step):
        rows.update(islice(reader.vectors(collection.id, after, collection.snapshot_last), 1))
    size = 4 * collection.embedder.dimension
    return {number: blob for number, blob in rows.items() if len(blob) == size}


class _Lag(Struct, frozen=True):
    """How far a server is behind: vectors that it lacks, and dead ones that it still holds."""

    vectors: int
    new: int
    dead: int

    @classmethod
    def of(cls, reader: Reader, collection: Collection) -> _Lag:
        vectors = reader.count_vectors(collection.id)
        kept = reader.count_vectors(collection.id, collection.snapshot_last)
        return cls(vectors, vectors - kept, collection.snapshot_vectors - kept)

    @property
    def is_dead_due(self) -> bool:
        return self.dead > (SLACK * self.vectors if self.vectors >= LARGE else 0)

    @property
    def is_due(self) -> bool:
        return self.new > 0 or self.is_dead_due


def _new_revision() -> str:
    return secrets.token_hex(8)


def _batches(rows: Iterator[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    while batch := list(islice(rows, SERVER_BATCH_ROWS)):
        yield batch


def _runs(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), SERVER_BATCH_ROWS):
        yield ids[start : start + SERVER_BATCH_ROWS]
