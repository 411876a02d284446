"""Documents become chunks: cut along their structure, at a token limit, each knowing its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aivax_cli.ingest.documents import Chunk, Document

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_TOKENS = 256


class Chunker:
    """Cuts documents into chunks of at most `max_tokens`; made once for a run."""

    def __init__(self, *, max_tokens: int = MAX_TOKENS, tokenizer: Tokenizer | None = None) -> None:
        """`tokenizer` is the embedder's own, for exact counts; without it tokens are estimated."""
        from semantic_text_splitter import MarkdownSplitter

        self._splitter = MarkdownSplitter.from_callback(lambda text: len(text) // 4 + 1, max_tokens)

    def chunk(self, document: Document) -> list[Chunk]:
        """The chunks in document order."""
        chunks = []
        for start, text in self._splitter.chunk_indices(document.text):
            first = document.text.count("\n", 0, start) + 1
            last = first + text.count("\n")
            chunks.append(Chunk(text, document.title, first, last, None, len(text) // 4 + 1))
        return chunks
