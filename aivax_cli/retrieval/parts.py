"""The open parts of a collection's Chroma index, searched as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.retrieval.chroma import ChromaFailedError, ChromaFolder
from aivax_cli.retrieval.partition import Part

if TYPE_CHECKING:
    from aivax_cli.retrieval.vectors import Vectors


class ChromaParts:
    """Folders that hold a collection's vectors between them. Threads may share it."""

    def __init__(self, home: Path, name: str, parts: Sequence[Part], before: ChromaParts | None) -> None:
        """Opens the folders of `parts` below `home`, whose collection in Chroma is called `name`.

        `before` are the parts that were open until now: those that are still in use stay open and are taken
        over, the others are closed. Raises ChromaFailedError; `before` stays open then.
        """
        self._parts = tuple(parts)
        self._folders: dict[str, ChromaFolder] = {}
        known = before._folders if before is not None else {}
        opened = []
        try:
            for part in parts:
                folder = known.get(part.folder)
                if folder is None:
                    folder = ChromaFolder(home / part.folder, name, create=False)
                    opened.append(folder)
                self._folders[part.folder] = folder
        except ChromaFailedError:
            for folder in opened:
                folder.close()
            raise
        for kept in known.keys() - self._folders.keys():
            known[kept].close()

    def nearest(self, questions: Vectors, count: int) -> list[dict[int, float]]:
        """For each row of `questions`, cosines by vector number, highest first: `count` of them, or all.

        Raises ChromaFailedError.
        """
        found = [
            self._folders[part.folder].nearest(questions, min(count, part.vectors)) for part in self._parts
        ]
        if len(found) == 1:
            return found[0]
        return [_best(hits, count) for hits in zip(*found, strict=True)]

    def close(self) -> None:
        """Closes all folders, after searches under way."""
        for folder in self._folders.values():
            folder.close()


def _best(found: Sequence[dict[int, float]], count: int) -> dict[int, float]:
    every = [hit for hits in found for hit in hits.items()]
    return dict(sorted(every, key=lambda hit: -hit[1])[:count])
