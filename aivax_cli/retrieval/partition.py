"""How a collection's vectors are shared out among Chroma folders, and what to do when they have changed.

Chroma holds an index in memory while it writes it, some 2 kB a vector, and a folder in use is never changed,
only copied. So a large collection's index is cut into parts by the vectors' ids, which only ever grow: what
is new comes into the last part or one after it, and the other parts stay as they are. Memory and copying are
bounded by the size of a part, and a search asks every part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

PART = 34_000
"""Vectors in a part, as long as that makes at most `SHARE` parts: 70 MB of memory while it is written.

A search takes some 1.4 ms for each part, of 10,000 vectors or of 32,000 alike.
"""

SHARE = 8
"""The parts that a collection of more than `SHARE` · `PART` vectors is cut into: fewer would take more memory
to write, more would take longer to search."""

MOST_PARTS = 16
"""Above so many parts, neighbours that fit into one are made into one. Parts multiply as a collection grows
little by little, because each was as large as the collection then allowed."""

ROOM = 0.25
"""How much of the last part's capacity must be free for it to be copied and added to, not a new one begun."""

LARGE = 20_000
"""Vectors from which on the parts may lag by `SLACK`: copying fewer takes less than a second."""

SLACK = 0.01
"""The part of a large collection that may change before its index does. Searches scan what is new."""

REBUILD = 0.5
"""When this part of a folder's vectors is dead, it is built from nothing: no copy, no dead nodes."""


class Part(Struct, frozen=True):
    """A Chroma folder with `vectors` vectors: those with ids above `after`, up to `last`, when it was made.

    `files` are the sizes of its index files.
    """

    folder: str
    after: int
    last: int
    vectors: int
    files: Mapping[str, int]


class Standing(Struct, frozen=True):
    """A part as it is found: how many of its vectors the catalogue still has, and whether its files are."""

    part: Part
    living: int
    sound: bool

    @property
    def dead(self) -> int:
        """Vectors that the folder holds and the catalogue does not."""
        return self.part.vectors - self.living


class Run(Struct, frozen=True):
    """A stretch of ids above `after`, up to `last`; None: all that come.

    `base` is the folder to begin with, which stays as it is when `stays`; without one it is built from
    nothing. A stretch without an end becomes as many parts as it takes.
    """

    after: int
    last: int | None
    base: Part | None = None
    stays: bool = False
    living: int = 0


def capacity(vectors: int) -> int:
    """How many vectors a part of a collection of this size may hold."""
    return max(PART, vectors // SHARE)


def plan(parts: Sequence[Standing], newer: int) -> tuple[Run, ...]:
    """What becomes of the parts, in the order of their ids, when `newer` vectors came after the last of them.

    Empty when the index may stay as it is.
    """
    total = newer + sum(part.living for part in parts)
    slack = SLACK if total >= LARGE else 0.0
    stale = [not part.sound or part.dead > slack * part.part.vectors for part in parts]
    if not any(stale) and newer <= slack * total:
        return ()
    room = capacity(total)
    runs = [_run(part, is_stale) for part, is_stale in zip(parts, stale, strict=True) if part.living]
    if len(runs) > MOST_PARTS:
        runs = _merged(runs, room)
    if newer:
        runs = _extended(runs, max((part.part.last for part in parts), default=0), room)
    return tuple(runs)


def _run(standing: Standing, is_stale: bool) -> Run:
    part = standing.part
    copied = standing.sound and standing.dead <= REBUILD * part.vectors
    return Run(part.after, part.last, part if copied else None, not is_stale, standing.living)


def _merged(runs: Sequence[Run], room: int) -> list[Run]:
    merged: list[Run] = []
    for run in runs:
        before = merged[-1] if merged else None
        if before is not None and before.living + run.living <= room:
            merged[-1] = Run(before.after, run.last, living=before.living + run.living)
        else:
            merged.append(run)
    return merged


def _extended(runs: Sequence[Run], last: int, room: int) -> list[Run]:
    """With what is new: in the last part if that has room, else in parts of its own."""
    if runs and runs[-1].living <= (1 - ROOM) * room:
        end = runs[-1]
        return [*runs[:-1], Run(end.after, None, end.base, living=end.living)]
    return [*runs, Run(last, None)]
