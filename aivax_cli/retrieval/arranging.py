"""The order in which passages are read: the best first, but what stands side by side stays so. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from aivax_cli.core.types import Passage


def in_document_order(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Passages that follow each other in a document as one run, in its order, at the place of their best.

    Ranks count anew: they are the numbers that an answer cites. A passage that stands twice is kept once.
    """
    runs: list[list[Passage]] = []
    for passage in {passage.id: passage for passage in reversed(passages)}.values():
        touched = [run for run in runs if any(_adjacent(passage, other) for other in run)]
        joined = [passage, *(other for run in touched for other in run)]
        runs = [run for run in runs if run not in touched] + [joined]
    place = {passage.id: number for number, passage in reversed(list(enumerate(passages)))}
    runs.sort(key=lambda run: min(place[passage.id] for passage in run))
    ordered = [
        passage for run in runs for passage in sorted(run, key=lambda one: (one.position or 0, place[one.id]))
    ]
    return tuple(replace(passage, rank=rank) for rank, passage in enumerate(ordered, 1))


def _adjacent(one: Passage, other: Passage) -> bool:
    if one.position is None or other.position is None:
        return False
    same = (one.source.collection, one.source.document) == (other.source.collection, other.source.document)
    return same and abs(one.position - other.position) <= 1
