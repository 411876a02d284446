"""A look into a collection's Chroma index, in a process of its own: a damaged one may end whoever opens it.

    python -m aivax_cli.retrieval.snapshot_check DIRECTORY COLLECTION

writes one line of JSON, the fault or null.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma import ChromaFailedError, ChromaFolder
from aivax_cli.retrieval.names import chroma_name
from aivax_cli.retrieval.part_building import PROBES_FOUND, surely_found
from aivax_cli.retrieval.partition import Part
from aivax_cli.retrieval.reader import Reader
from aivax_cli.retrieval.records import Collection
from aivax_cli.retrieval.snapshots import SNAPSHOTS, sound_snapshot

TIMEOUT_S = 300.0

PROBES = 512
"""Vectors that are asked for; more than after each ingest, as nobody waits for a doctor's every second."""


def snapshot_fault(directory: Path, collection: str) -> str | None:
    """What is wrong with the index that the catalogue points at, None when nothing is.

    `directory` is the workspace's `.aivax`.
    """
    command = [sys.executable, "-m", __spec__.name, str(directory.absolute()), collection]
    try:
        done = subprocess.run(
            command,
            cwd=Path(__file__).parents[2],  # `-m` looks there first: never into the user's folder
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {TIMEOUT_S:g} s"
    if done.returncode < 0:
        return f"it ends the process that opens it (signal {-done.returncode})"
    try:
        fault = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return f"it cannot be looked at: {last[0][:200]}"
    return None if fault is None else str(fault)


def _look(directory: Path, name: str) -> str | None:
    catalogue = Catalogue.open(directory)
    if catalogue is None:
        return None
    try:
        with catalogue.reading() as reader:
            collection = reader.collection(name)
            if collection is None or collection.snapshot is None:
                return None
            parts = sound_snapshot(collection, directory / SNAPSHOTS)
            if parts is None:
                return "files are missing or cut short"
            faults = (_part_fault(reader, collection, directory / SNAPSHOTS, part) for part in parts)
            return next((fault for fault in faults if fault is not None), None)
    finally:
        catalogue.close()


def _part_fault(reader: Reader, collection: Collection, home: Path, part: Part) -> str | None:
    expected = reader.vector_ids(collection.id, part.after, part.last)
    every = max(1, len(expected) // PROBES)
    sample = reader.vectors_by_id(collection.id, sorted(expected)[::every])
    chroma = ChromaFolder(home / part.folder, chroma_name(collection.name), create=False)
    try:
        missing = len(expected - chroma.ids())
        if missing:
            return f"{missing:,} of {len(expected):,} vectors are missing"
        found = surely_found(chroma, sample)
    finally:
        chroma.close()
    if found < PROBES_FOUND * len(sample):
        return f"only {found} of {len(sample)} vectors were found when asked for"
    return None


def main() -> None:
    """Looks at what the command line names."""
    directory, name = sys.argv[1:]
    try:
        fault = _look(Path(directory), name)
    except ChromaFailedError as error:
        fault = " ".join(str(error).split())[:200]
    sys.stdout.write(json.dumps(fault) + "\n")


if __name__ == "__main__":
    main()
