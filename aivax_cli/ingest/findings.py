"""What is worth a person's attention in documents: counted by kind, with the first of each, not listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from aivax_cli.core.types import Source
from aivax_cli.ingest.documents import Chunk
from aivax_cli.ingest.progress import Notice

SMALL_TOKENS: Final = 10
"""Under this a text says too little to be found by its meaning."""

LARGE_TOKENS: Final = 1_500
"""Over this a text is about too much to be found by any one part of it."""

_WORDS: Final = {
    "small": ("chunk under {small} tokens", "chunks under {small} tokens"),
    "short": ("document under {small} tokens", "documents under {small} tokens"),
    "large": ("document over {large} tokens", "documents over {large} tokens"),
    "empty": ("file without any text", "files without any text"),
    "double": (
        "document has the same content as another one",
        "documents have the same content as another one",
    ),
    "ignored": ("line with fields that mean nothing here", "lines with fields that mean nothing here"),
    "repeated": ("docid stands in the file more than once", "docids stand in the file more than once"),
    "taken": ("document was another file's until now", "documents were another file's until now"),
}


class Findings:
    """Counts what looks wrong while documents are stored."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, kind: str, first: str) -> None:
        """One more of a kind in `_WORDS`; `first` says which it is, should it be the first."""
        self._counts[kind] += 1
        self._first.setdefault(kind, first)

    def chunks(self, document: str, chunks: Sequence[Chunk]) -> None:
        """Looks at the chunks of a file."""
        for chunk in chunks:
            if chunk.tokens < SMALL_TOKENS:
                source = Source("", document, chunk.heading, chunk.first_line, chunk.last_line, chunk.page)
                self.add("small", source.place)
        if not chunks:
            self.add("empty", document)

    def length(self, document: str, tokens: int) -> None:
        """Looks at the length of a document that should be one piece of knowledge."""
        if tokens > LARGE_TOKENS:
            self.add("large", f"{document}, {tokens:,} tokens")
        elif tokens < SMALL_TOKENS:
            self.add("short", f"{document}, {tokens} tokens")

    def notices(self, collection: str) -> list[Notice]:
        """A line for each kind that occurred."""
        return [
            Notice(collection, self._line(kind, self._counts[kind])) for kind in _WORDS if self._counts[kind]
        ]

    def _line(self, kind: str, count: int) -> str:
        words = _WORDS[kind][count > 1].format(small=SMALL_TOKENS, large=f"{LARGE_TOKENS:,}")
        return f"{count:,} {words}{', first' if count > 1 else ''}: {self._first[kind]}"
