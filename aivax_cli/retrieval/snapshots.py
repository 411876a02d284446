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
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from msgspec import to_builtins

from aivax_cli.retrieval import part_building
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma import ChromaFailedError
from aivax_cli.retrieval.part_building import Built, Job, build, build_apart
from aivax_cli.retrieval.partition import Part, Run, Standing, capacity, plan
from aivax_cli.retrieval.reader import LAST_ID, Reader
from aivax_cli.retrieval.records import Collection

Builder = Callable[[Catalogue, Job, Callable[[int], None]], Built]

SNAPSHOTS = "chroma"
MANIFEST = "manifest.json"


def sync_snapshot(
    catalogue: Catalogue,
    collection: Collection,
    directory: Path,
    on_written: Callable[[int, int], None] = lambda *_: None,
) -> str | None:
    """Brings the collection's Chroma index up to date with the catalogue, if there is anything to do.

    `on_written` gets how many vectors have been written, and of how many.
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
    # What is copied is not written.
    writing = newer + sum(run.living for run in runs if run.base is None)
    living = [each.part for each in parts if each.living]
    making = _Making(
        catalogue, collection, home, living, lambda done: on_written(min(done, writing), writing)
    )
    try:
        making.run(runs, capacity(newer + sum(each.living for each in parts)))
    except (ChromaFailedError, OSError) as error:
        return f"the vector index was not written: {error}"
    return None


def _standing(reader: Reader, collection: Collection, home: Path) -> tuple[list[Standing], int]:
    """The collection's parts as they are found, and how many vectors came after them."""
    parts = _parts(collection, home)
    bounds = sorted({bound for part in parts for bound in (part.after, part.last)})
    *counts, every = reader.count_vectors_up_to(collection.id, bounds)
    up_to = dict(zip(bounds, counts, strict=True))
    standing = [Standing(part, up_to[part.last] - up_to[part.after], _is_sound(part, home)) for part in parts]
    return standing, every - (counts[-1] if counts else 0)


class _Making:
    """Parts under way, and those that are in use: `parts`, in the order of their ids."""

    def __init__(
        self,
        catalogue: Catalogue,
        collection: Collection,
        home: Path,
        parts: Sequence[Part],
        on_written: Callable[[int], None],
    ) -> None:
        self._catalogue = catalogue
        self._collection = collection
        self._home = home
        self._parts = list(parts)
        self._on_written = on_written
        self._written = 0

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
            job = Job(self._collection.name, folder, base, after, up_to, room)
            built = self._builder(after, up_to)(self._catalogue, job, self._wrote)
            return Part(folder.name, after, built.last, built.vectors, _file_sizes(folder))
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if base is None or not isinstance(error, ChromaFailedError):
                raise
        # What could not be brought up to date is built from nothing.
        return self._made(None, after, up_to, room)

    def _wrote(self, vectors: int) -> None:
        self._written += vectors
        self._on_written(self._written)

    def _builder(self, after: int, up_to: int) -> Builder:
        with self._catalogue.reading() as reader:
            before, every, _ = reader.count_vectors_up_to(self._collection.id, [after, up_to])
        return build if every - before < part_building.OWN_PROCESS else build_apart

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

    def _use(self, part: Part) -> None:
        """Puts a part in the place of those whose ids it covers."""
        others = [each for each in self._parts if each.last <= part.after or each.after >= part.last]
        self._parts = sorted([*others, part], key=lambda each: each.after)
        self._publish(self._home / part.folder)

    def _publish(self, folder: Path) -> None:
        """Names all parts in a folder that nobody uses yet, and lets the catalogue point at it."""
        manifest = json.dumps({"parts": to_builtins(self._parts)})
        (folder / MANIFEST).write_text(manifest, encoding="utf-8")
        _flush(folder)
        last = max((part.last for part in self._parts), default=0)
        vectors = sum(part.vectors for part in self._parts)
        with self._catalogue.writing() as writer:
            writer.set_snapshot(self._collection.id, folder.name, last, vectors)


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
