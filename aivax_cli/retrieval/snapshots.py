"""Chroma's index of a collection's vectors, in folders that are never changed once they are in use.

Embedded Chroma survives neither a kill while it writes nor a second process that has it open, and may end
the process that opens a damaged store. So a writer copies the folder that has to change, brings the copy up
to date, closes it, asks the copy for vectors that the catalogue holds, and only then lets the catalogue point
at it. A kill leaves the folders in use as they were; readers keep theirs until they see the new ones; a copy
that nothing points at is swept away by the next writer. The catalogue's vectors are the truth: the folders
can be deleted at any time.

A large collection has several such folders, its parts (see `partition`). The catalogue points at the one that
was made last; its manifest names them all. Each part is in use as soon as it is made: killed after some of
them, the next writer goes on with the rest.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma import BATCH_ROWS, ChromaFailedError, ChromaFolder, ChromaVectors
from aivax_cli.retrieval.names import chroma_name
from aivax_cli.retrieval.partition import Part, Run, Standing, capacity, plan
from aivax_cli.retrieval.reader import LAST_ID, Reader
from aivax_cli.retrieval.records import Collection

if TYPE_CHECKING:
    from aivax_cli.retrieval.vectors import Vectors

SNAPSHOTS = "chroma"
MANIFEST = "manifest.json"

PROBES = 64
"""Vectors that a new part is asked for before it is used."""

PROBES_FOUND = 0.9
"""The part of them that it must find. The index is approximate and may miss one; damage loses a third."""

WRITE_ROWS = 1_000
"""Vectors written at a time. Chroma's lists of as many numbers take 20 MB; twice as many are not faster."""

SAME = 1e-3
"""A vector asked for itself is found at a cosine of at least 1 less this."""


def sync_snapshot(catalogue: Catalogue, collection: Collection, directory: Path) -> str | None:
    """Brings the collection's Chroma index up to date with the catalogue, if there is anything to do.

    The caller holds the write lock. Gives the reason when it could not be done; searches then scan the
    catalogue's vectors, which is exact, but slower in a large collection.
    """
    home = directory / SNAPSHOTS
    with catalogue.reading() as reader:
        parts, newer = _standing(reader, collection, home)
        collections = reader.collections()
    runs = plan(parts, newer)
    if not runs:
        return None
    sweep(home, collections)
    making = _Making(catalogue, collection, home, [each.part for each in parts if each.living])
    try:
        making.run(runs, capacity(newer + sum(each.living for each in parts)))
    except (ChromaFailedError, OSError) as error:
        return f"the vector index was not written: {error}"
    return None


def _standing(reader: Reader, collection: Collection, home: Path) -> tuple[list[Standing], int]:
    """The collection's parts as they are found, and how many vectors came after them."""
    parts = _parts(collection, home)
    bounds = [bound for part in parts for bound in (part.after, part.last)]
    *counts, every = reader.count_vectors_up_to(collection.id, bounds)
    standing = [
        Standing(part, up_to - before, _is_sound(part, home))
        for part, before, up_to in zip(parts, counts[::2], counts[1::2], strict=True)
    ]
    return standing, every - (counts[-1] if counts else 0)


class _Making:
    """Parts under way, and those that are in use: `parts`, in the order of their ids."""

    def __init__(
        self, catalogue: Catalogue, collection: Collection, home: Path, parts: Sequence[Part]
    ) -> None:
        self._catalogue = catalogue
        self._collection = collection
        self._home = home
        self._parts = list(parts)

    def run(self, runs: Sequence[Run], room: int) -> None:
        """Makes what the plan says. Raises ChromaFailedError or OSError; parts made before are in use."""
        with self._catalogue.reading() as reader:
            last = reader.last_vector(self._collection.id)
        for run in runs:
            if run.stays:
                continue
            if run.last is not None:
                self._use(self._made(run.base, run.after, run.last, None))
                continue
            part = self._made(run.base, run.after, LAST_ID, room)
            self._use(part)
            while part.last < last:
                part = self._made(None, part.last, LAST_ID, room)
                self._use(part)
        if all(run.stays for run in runs):  # others are gone
            self._publish(self._new_folder())

    def _made(self, base: Part | None, after: int, up_to: int, room: int | None) -> Part:
        """A new part of the vectors above `after`, of at most `room` vectors, not in use yet."""
        folder = self._new_folder(base)
        try:
            return self._fill(folder, base, after, up_to, room)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if base is None or not isinstance(error, ChromaFailedError):
                raise
        # What could not be brought up to date is built from nothing.
        return self._made(None, after, up_to, room)

    def _new_folder(self, base: Part | None = None) -> Path:
        collection = self._collection
        folder = self._home / f"{collection.id}-{collection.generation}-{secrets.token_hex(4)}"
        try:
            if base is None:
                folder.mkdir(parents=True)
            else:
                shutil.copytree(self._home / base.folder, folder)
                (folder / MANIFEST).unlink(missing_ok=True)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    def _fill(self, folder: Path, base: Part | None, after: int, up_to: int, room: int | None) -> Part:
        """Writes vectors and removes dead ones, and asks for some."""
        number = self._collection.id
        last = after
        with self._catalogue.reading() as reader:
            chroma = ChromaFolder(folder, chroma_name(self._collection.name), create=True)
            try:
                living = 0
                if base is not None:
                    living = self._remove_dead(reader, chroma, base)
                    last = base.last
                most = None if room is None else max(0, room - living)
                for batch in _batches(reader.vectors(number, last, up_to), most):
                    chroma.upsert([each for each, _ in batch], stacked(blob for _, blob in batch))
                    last = batch[-1][0]
            finally:
                chroma.close()
            vectors = self._probe(reader, folder, after, last)
        return Part(folder.name, after, last, vectors, _file_sizes(folder))

    def _remove_dead(self, reader: Reader, chroma: ChromaFolder, base: Part) -> int:
        """Removes what the catalogue no longer has; says how many are left."""
        living = reader.vector_ids(self._collection.id, base.after, base.last)
        if len(living) < base.vectors:
            dead = sorted(chroma.ids() - living)
            for start in range(0, len(dead), BATCH_ROWS):
                chroma.delete(dead[start : start + BATCH_ROWS])
        return len(living)

    def _probe(self, reader: Reader, folder: Path, after: int, last: int) -> int:
        """Opens a closed folder as a reader will and asks it for vectors; says how many it must hold.

        Raises ChromaFailedError.
        """
        numbers = sorted(reader.vector_ids(self._collection.id, after, last))
        sample = reader.vectors_by_id(self._collection.id, numbers[:: max(1, len(numbers) // PROBES)])
        chroma = ChromaFolder(folder, chroma_name(self._collection.name), create=False)
        try:
            sure = surely_found(chroma, sample)
        finally:
            chroma.close()
        if sure < PROBES_FOUND * len(sample):
            raise ChromaFailedError(
                f"only {sure} of {len(sample)} vectors out of {len(numbers)} could be found"
            )
        return len(numbers)

    def _use(self, part: Part) -> None:
        """Puts a part in the place of those whose ids it covers."""
        others = [each for each in self._parts if each.last <= part.after or each.after >= part.last]
        self._parts = sorted([*others, part], key=lambda each: each.after)
        self._publish(self._home / part.folder)

    def _publish(self, folder: Path) -> None:
        """Names all parts in a folder that nobody uses yet, and lets the catalogue point at it."""
        manifest = json.dumps({"parts": [asdict(part) for part in self._parts]})
        (folder / MANIFEST).write_text(manifest, encoding="utf-8")
        _flush(folder)
        last = max((part.last for part in self._parts), default=0)
        vectors = sum(part.vectors for part in self._parts)
        with self._catalogue.writing() as writer:
            writer.set_snapshot(self._collection.id, folder.name, last, vectors)


def surely_found(chroma: ChromaVectors, sample: Mapping[int, bytes]) -> int:
    """How many of these vectors an index finds when it is asked for them. Raises ChromaFailedError."""
    found = chroma.nearest(stacked(sample.values()), 1) if sample else []
    return sum(any(cosine > 1 - SAME for cosine in hits.values()) for hits in found)


def sound_snapshot(collection: Collection, home: Path) -> tuple[Part, ...] | None:
    """The parts of the collection's index; None when there are none, or files are missing or cut short.

    Chroma may end the process that opens a store with such files, so they are looked at from outside.
    """
    parts = _parts(collection, home)
    return parts if parts and all(_is_sound(part, home) for part in parts) else None


def sweep(home: Path, collections: Iterable[Collection]) -> None:
    """Removes the folders that none of the collections uses: what killed and earlier writers left."""
    if not home.is_dir():
        return
    in_use = set()
    for collection in collections:
        in_use.add(collection.snapshot)
        in_use.update(part.folder for part in _parts(collection, home))
    for folder in home.iterdir():
        if folder.name not in in_use:
            shutil.rmtree(folder, ignore_errors=True)


def _parts(collection: Collection, home: Path) -> tuple[Part, ...]:
    """The parts that the collection's manifest names; none when it cannot be read."""
    if collection.snapshot is None:
        return ()
    try:
        manifest = json.loads((home / collection.snapshot / MANIFEST).read_text(encoding="utf-8"))
        return tuple(Part(**part) for part in manifest["parts"])
    except (OSError, ValueError, LookupError, TypeError):
        return ()


def _is_sound(part: Part, home: Path) -> bool:
    """Whether a part's index files are there at their full size."""
    folder = home / part.folder
    try:
        return all((folder / name).stat().st_size == size for name, size in part.files.items())
    except OSError:
        return False


def _file_sizes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.suffix in {".bin", ".pickle"})
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _flush(folder: Path) -> None:
    """Has all files written to the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())


def _batches(rows: Iterator[tuple[int, bytes]], most: int | None) -> Iterator[list[tuple[int, bytes]]]:
    """The first `most` rows (None: all) in lists of at most `WRITE_ROWS`."""
    some = islice(rows, most)
    while batch := list(islice(some, WRITE_ROWS)):
        yield batch


def stacked(blobs: Iterable[bytes]) -> Vectors:
    """Stored vectors as rows of a matrix."""
    import numpy as np

    return np.stack([np.frombuffer(blob, dtype="<f4") for blob in blobs]).astype(np.float32)
