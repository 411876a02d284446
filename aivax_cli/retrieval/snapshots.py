"""Chroma's index of a collection's vectors, in folders that are never changed once they are in use.

Embedded Chroma survives neither a kill while it writes nor a second process that has it open, and may end
the process that opens a damaged store. So a writer copies the folder in use, brings the copy up to date,
closes it, asks the copy for vectors that the catalogue holds, and only then lets the catalogue point at it. A
kill leaves the folder in use as it was; readers keep theirs until they see the new name; a copy that nothing
points at is swept away by the next writer. The catalogue's vectors are the truth: the folders can be deleted
at any time.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma import BATCH_ROWS, ChromaFailedError, ChromaFolder
from aivax_cli.retrieval.names import chroma_name
from aivax_cli.retrieval.reader import Reader
from aivax_cli.retrieval.records import Collection

if TYPE_CHECKING:
    from aivax_cli.retrieval.vectors import Vectors

SNAPSHOTS = "chroma"
MANIFEST = "manifest.json"

PROBES = 64
"""Vectors that a new snapshot is asked for before it is used."""

PROBES_FOUND = 0.9
"""The part of them that it must find. The index is approximate and may miss one; damage loses a third."""

SAME = 1e-3
"""A vector asked for itself is found at a cosine of at least 1 less this."""

LARGE = 20_000
"""Vectors from which on a snapshot may lag by `SLACK`: copying one of fewer takes less than a second."""

SLACK = 0.01
"""The part of a large collection that may change before its snapshot is made anew. Searches scan the rest."""

REBUILD = 0.5
"""When this part of a collection has changed, its index is built from nothing: no copy, no dead nodes."""


def sync_snapshot(catalogue: Catalogue, collection: Collection, directory: Path) -> str | None:
    """Brings the collection's Chroma index up to date with the catalogue, if there is anything to do.

    The caller holds the write lock. Gives the reason when it could not be done; searches then scan the
    catalogue's vectors, which is exact, but slower in a large collection.
    """
    home = directory / SNAPSHOTS
    with catalogue.reading() as reader:
        lag = _Lag.of(reader, collection, home)
        in_use = {other.snapshot for other in reader.collections()}
    if not lag.is_due:
        return None
    sweep(home, in_use)
    problem = None
    for base in dict.fromkeys((lag.base, None)):  # what cannot be brought up to date is built from nothing
        problem = _make(catalogue, collection, home, base, lag)
        if problem is None:
            return None
    return f"the vector index was not written: {problem}"


@dataclass(frozen=True, slots=True)
class _Lag:
    """How far a snapshot is behind: vectors that it lacks, and dead ones that it still holds."""

    vectors: int
    new: int
    dead: int
    sound: Path | None

    @classmethod
    def of(cls, reader: Reader, collection: Collection, home: Path) -> _Lag:
        vectors = reader.count_vectors(collection.id)
        folder = sound_snapshot(collection, home)
        if folder is None:
            return cls(vectors, vectors, 0, None)
        kept = reader.count_vectors(collection.id, collection.snapshot_last)
        return cls(vectors, vectors - kept, collection.snapshot_vectors - kept, folder)

    @property
    def is_due(self) -> bool:
        allowed = SLACK * self.vectors if self.sound is not None and self.vectors >= LARGE else 0
        return self.new + self.dead > allowed

    @property
    def base(self) -> Path | None:
        """The snapshot worth copying; None to build from nothing."""
        return None if self.new + self.dead > REBUILD * self.vectors else self.sound


def _make(
    catalogue: Catalogue, collection: Collection, home: Path, base: Path | None, lag: _Lag
) -> str | None:
    """Makes a snapshot and lets the catalogue point at it; gives the reason when it could not."""
    folder = home / f"{collection.id}-{collection.generation}-{secrets.token_hex(4)}"
    try:
        if base is None:
            folder.mkdir(parents=True)
        else:
            shutil.copytree(base, folder)
        with catalogue.reading() as reader:
            after = 0 if base is None else collection.snapshot_last
            last = _fill(reader, collection, folder, after, has_dead=base is not None and lag.dead > 0)
            _probe(reader, collection, folder, lag.vectors)
        _seal(folder)
    except (ChromaFailedError, OSError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        return str(error)
    with catalogue.writing() as writer:
        writer.set_snapshot(collection.id, folder.name, last, lag.vectors)
    return None


def _fill(reader: Reader, collection: Collection, folder: Path, after: int, *, has_dead: bool) -> int:
    """Writes the vectors with ids above `after` and removes dead ones; gives the last id."""
    chroma = ChromaFolder(folder, chroma_name(collection.name), create=True)
    try:
        if has_dead:
            dead = sorted(chroma.ids() - reader.vector_ids(collection.id))
            for start in range(0, len(dead), BATCH_ROWS):
                chroma.delete(dead[start : start + BATCH_ROWS])
        rows = reader.vectors(collection.id, after)
        while batch := list(islice(rows, BATCH_ROWS)):
            chroma.upsert([number for number, _ in batch], _stacked(blob for _, blob in batch))
            after = batch[-1][0]
    finally:
        chroma.close()
    return after


def _probe(reader: Reader, collection: Collection, folder: Path, vectors: int) -> None:
    """Opens a closed snapshot as a reader will and asks it for vectors. Raises ChromaFailedError."""
    numbers = sorted(reader.vector_ids(collection.id))
    sample = reader.vectors_by_id(collection.id, numbers[:: max(1, len(numbers) // PROBES)])
    chroma = ChromaFolder(folder, chroma_name(collection.name), create=False)
    try:
        sure = surely_found(chroma, sample)
    finally:
        chroma.close()
    if sure < PROBES_FOUND * len(sample):
        raise ChromaFailedError(f"only {sure} of {len(sample)} vectors out of {vectors} could be found")


def surely_found(chroma: ChromaFolder, sample: Mapping[int, bytes]) -> int:
    """How many of these vectors an index finds when it is asked for them. Raises ChromaFailedError."""
    found = chroma.nearest(_stacked(sample.values()), 1) if sample else []
    return sum(any(cosine > 1 - SAME for cosine in hits.values()) for hits in found)


def _seal(folder: Path) -> None:
    """Notes the sizes of the index files, and has all files written to the disk."""
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in _index_files(folder)}
    (folder / MANIFEST).write_text(json.dumps(sizes), encoding="utf-8")
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


def sound_snapshot(collection: Collection, home: Path) -> Path | None:
    """The folder of the collection's snapshot; None when there is none, or files are missing or cut short.

    Chroma may end the process that opens a store with such files, so they are looked at from outside.
    """
    if collection.snapshot is None:
        return None
    folder = home / collection.snapshot
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if any((folder / name).stat().st_size != size for name, size in sizes.items()):
            return None
    except (OSError, ValueError, AttributeError):
        return None
    return folder


def sweep(home: Path, in_use: set[str | None]) -> None:
    """Removes the folders that no collection points at: what killed and earlier writers left."""
    if not home.is_dir():
        return
    for folder in home.iterdir():
        if folder.name not in in_use:
            shutil.rmtree(folder, ignore_errors=True)


def _index_files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix in {".bin", ".pickle"})


def _stacked(blobs: Iterable[bytes]) -> Vectors:
    import numpy as np

    return np.stack([np.frombuffer(blob, dtype="<f4") for blob in blobs]).astype(np.float32)
