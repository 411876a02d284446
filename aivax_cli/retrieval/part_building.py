"""Writes one part of a collection's Chroma index into a folder, and asks it for vectors before it is used.

    python -m aivax_cli.retrieval.part_building < JOB

A part of some size is written by a process of its own. Chroma is native code that may end its process, and
what it held goes back to the system whole: in one process, what its threads had in memory for one part is
still there beside the next one's. The job is one line of JSON on stdin; stdout has lines that say how many
vectors have been written, then the answer. The process ends as soon as its stdin does, that is, with the one
that started it, however that ends. All that it changes is a folder at which nothing points yet.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from threading import Thread
from typing import TYPE_CHECKING

from msgspec import Struct, to_builtins

from aivax_cli.core.errors import AivaxError
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma import BATCH_ROWS, ChromaFailedError, ChromaFolder, ChromaVectors
from aivax_cli.retrieval.names import chroma_name
from aivax_cli.retrieval.partition import Part
from aivax_cli.retrieval.reader import Reader
from aivax_cli.retrieval.records import Collection

if TYPE_CHECKING:
    from aivax_cli.retrieval.vectors import Vectors

OWN_PROCESS = 2_000
"""Vectors from which on a part is written by a process of its own, which takes about a second to start."""

WRITE_ROWS = 1_000
"""Vectors written at a time. Chroma's lists of as many numbers take 20 MB; twice as many are not faster."""

PROBES = 64
"""Vectors that a new part is asked for before it is used."""

PROBES_FOUND = 0.9
"""The part of them that it must find. The index is approximate and may miss one; damage loses a third."""

SAME = 1e-3
"""A vector asked for itself is found at a cosine of at least 1 less this."""

_WRITTEN = "written "
"""What begins a line that says how many vectors are more in the part."""

ARENAS = {"MALLOC_ARENA_MAX": "2"}
"""glibc gives each thread its own pool of memory, in which Chroma's threads left 50 MB and more unused."""


class Job(Struct, frozen=True):
    """What to write: the vectors of `collection` with ids above `after`, up to `up_to`, at most `room` of
    them (None: all). `folder` is empty, or a copy of `base`, whose vectors count as well."""

    collection: str
    folder: Path
    base: Part | None
    after: int
    up_to: int
    room: int | None


class Built(Struct, frozen=True):
    """The highest id in a part, and how many vectors it has."""

    last: int
    vectors: int


def build(catalogue: Catalogue, job: Job, on_written: Callable[[int], None]) -> Built:
    """Writes a part in this process; `on_written` gets how many vectors are more in it.

    Raises ChromaFailedError, OSError.
    """
    with catalogue.reading() as reader:
        collection = reader.collection(job.collection)
        if collection is None:
            raise ChromaFailedError(f"no collection named '{job.collection}'")
        last = _fill(reader, collection, job, on_written)
        return Built(last, _probe(reader, collection, job, last))


def build_apart(catalogue: Catalogue, job: Job, on_written: Callable[[int], None]) -> Built:
    """As `build`, in a process of its own."""
    values = to_builtins(job, enc_hook=str) | {"directory": str(catalogue.path.parent.absolute())}
    values["folder"] = str(job.folder.absolute())
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name],
            cwd=Path(__file__).parents[2],  # `-m` looks there first: never into the user's folder
            env={**os.environ, **ARENAS},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            out = _followed(process, json.dumps(values), on_written)
        finally:
            process.kill()
            process.wait()
        complaints.seek(0)
        return _answer(process.returncode, out, complaints.read())


def _followed(process: subprocess.Popen[str], job: str, on_written: Callable[[int], None]) -> str:
    """Hands the job over and tells what is written; gives the last line, when the process has ended."""
    assert process.stdin is not None and process.stdout is not None
    last = ""
    # Its stdin stays open until then: the process ends with it.
    with suppress(BrokenPipeError), process.stdin as stdin, process.stdout as stdout:
        stdin.write(job + "\n")
        stdin.flush()
        for line in stdout:
            if line.startswith(_WRITTEN):
                on_written(int(line.removeprefix(_WRITTEN)))
            else:
                last = line
        process.wait()
    return last


def _answer(code: int, out: str, error: str) -> Built:
    try:
        answer = json.loads(out)
        if "error" in answer:
            raise ChromaFailedError(str(answer["error"]))
        return Built(int(answer["last"]), int(answer["vectors"]))
    except (ValueError, LookupError, TypeError) as mistaken:
        said = (error.strip().splitlines() or [""])[-1][:200]
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ChromaFailedError(f"the process that writes it ended with {ended} {said}".strip()) from mistaken


def _fill(reader: Reader, collection: Collection, job: Job, on_written: Callable[[int], None]) -> int:
    """Writes vectors and removes dead ones; gives the highest id."""
    chroma = ChromaFolder(job.folder, chroma_name(collection.name), create=True)
    last, most = job.after, job.room
    try:
        if job.base is not None:
            living = _remove_dead(reader, collection, chroma, job.base)
            last = job.base.last
            most = None if most is None else max(0, most - living)
        for batch in _batches(reader.vectors(collection.id, last, job.up_to), most):
            chroma.upsert([each for each, _ in batch], stacked(blob for _, blob in batch))
            last = batch[-1][0]
            on_written(len(batch))
    finally:
        chroma.close()
    return last


def _remove_dead(reader: Reader, collection: Collection, chroma: ChromaFolder, base: Part) -> int:
    """Removes what the catalogue no longer has; says how many are left."""
    living = reader.vector_ids(collection.id, base.after, base.last)
    if len(living) < base.vectors:
        dead = sorted(chroma.ids() - living)
        for start in range(0, len(dead), BATCH_ROWS):
            chroma.delete(dead[start : start + BATCH_ROWS])
    return len(living)


def _probe(reader: Reader, collection: Collection, job: Job, last: int) -> int:
    """Opens a closed part as a reader will and asks it for vectors; says how many it must hold.

    Raises ChromaFailedError.
    """
    numbers = sorted(reader.vector_ids(collection.id, job.after, last))
    sample = reader.vectors_by_id(collection.id, numbers[:: max(1, len(numbers) // PROBES)])
    chroma = ChromaFolder(job.folder, chroma_name(collection.name), create=False)
    try:
        sure = surely_found(chroma, sample)
    finally:
        chroma.close()
    if sure < PROBES_FOUND * len(sample):
        raise ChromaFailedError(f"only {sure} of {len(sample)} vectors out of {len(numbers)} could be found")
    return len(numbers)


def surely_found(chroma: ChromaVectors, sample: Mapping[int, bytes]) -> int:
    """How many of these vectors an index finds when it is asked for them. Raises ChromaFailedError."""
    found = chroma.nearest(stacked(sample.values()), 1) if sample else []
    return sum(any(cosine > 1 - SAME for cosine in hits.values()) for hits in found)


def stacked(blobs: Iterable[bytes]) -> Vectors:
    """Stored vectors as rows of a matrix."""
    import numpy as np

    return np.stack([np.frombuffer(blob, dtype="<f4") for blob in blobs]).astype(np.float32)


def _batches(rows: Iterator[tuple[int, bytes]], most: int | None) -> Iterator[list[tuple[int, bytes]]]:
    """The first `most` rows (None: all) in lists of at most `WRITE_ROWS`."""
    some = islice(rows, most)
    while batch := list(islice(some, WRITE_ROWS)):
        yield batch


def _tell(written: int) -> None:
    sys.stdout.write(f"{_WRITTEN}{written}\n")
    sys.stdout.flush()


def _end_with_stdin() -> None:
    """Ends the process when nobody is there any more who would use what it writes."""
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Does the job on stdin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who waits, and ends stdin
    values = json.loads(sys.stdin.buffer.readline())
    Thread(target=_end_with_stdin, daemon=True).start()
    directory = Path(values.pop("directory"))
    base = values.pop("base")
    job = Job(**values | {"folder": Path(values["folder"]), "base": base and Part(**base)})
    answer: dict[str, object]
    try:
        catalogue = Catalogue.open(directory)
        if catalogue is None:
            raise ChromaFailedError(f"{directory}: nothing is stored there")
        answer = to_builtins(build(catalogue, job, _tell))
    except (ChromaFailedError, AivaxError, OSError) as error:
        answer = {"error": " ".join(str(error).split())}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the thread that reads stdin holds its lock, for which Python would wait


if __name__ == "__main__":
    main()
