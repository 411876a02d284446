"""How fast documents are walked, read and cut, and how even the chunks are.

    python benchmarks/chunking.py FOLDER [--tokenizer]

The named peer is `MarkdownSplitter` of semantic-text-splitter alone, which counts in its own engine
(o200k) and knows no headings, lines or pages. `--tokenizer` counts with the built-in embedder's tokenizer
instead of the estimate and says how far the estimate is from it; the embedder's files must be there
(`aivax models pull --all-defaults`).
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from semantic_text_splitter import MarkdownSplitter  # noqa: TID253 - a benchmark may start slowly

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.chunking import MAX_TOKENS, Chunker
from aivax_cli.ingest.documents import Chunk, Document, Found
from aivax_cli.ingest.readers import read
from aivax_cli.ingest.tokens import CountTokens, estimate_tokens
from aivax_cli.ingest.walk import walk

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` returns, and the seconds it took."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def read_all(found: Sequence[Found]) -> list[Document]:
    documents = []
    for item in found:
        try:
            documents.append(read(item))
        except IngestError as error:
            print(f"  left out: {error}")
    return documents


def cut_all(documents: Sequence[Document], count_tokens: CountTokens | None) -> list[Chunk]:
    chunker = Chunker(count_tokens=count_tokens)
    return [chunk for document in documents for chunk in chunker.chunk(document)]


def peer(documents: Sequence[Document]) -> int:
    splitter = MarkdownSplitter.from_tiktoken_model("gpt-4o", MAX_TOKENS)
    return sum(len(splitter.chunks(document.text)) for document in documents)


def embedders_counter() -> CountTokens:
    from aivax_cli.assets.store import AssetStore
    from aivax_cli.retrieval.embedding.e5 import E5Embedder

    return E5Embedder.from_store(AssetStore.from_environment(os.environ)).count_tokens


def main(folder: Path, *, with_tokenizer: bool) -> None:
    items, walking_s = timed(lambda: list(walk([folder], base=folder)))
    found = [item for item in items if isinstance(item, Found)]
    documents, reading_s = timed(lambda: read_all(found))
    count_tokens = embedders_counter() if with_tokenizer else None
    if count_tokens is not None:
        count_tokens(["warm"])
    chunks, cutting_s = timed(lambda: cut_all(documents, count_tokens))
    peers_chunks, peers_s = timed(lambda: peer(documents))
    characters = sum(len(document.text) for document in documents)
    sizes = [chunk.tokens for chunk in chunks] or [0]
    print(f"{len(found):,} files, {characters:,} characters")
    print(f"walk   {len(found) / walking_s:10,.0f} files/s")
    print(
        f"read   {len(found) / reading_s:10,.0f} files/s {characters / reading_s / 1e6:8.2f} M characters/s"
    )
    print(
        f"cut    {len(found) / cutting_s:10,.0f} files/s {characters / cutting_s / 1e6:8.2f} M characters/s"
    )
    print(f"peer   {len(found) / peers_s:10,.0f} files/s {characters / peers_s / 1e6:8.2f} M characters/s")
    print(
        f"chunks {len(chunks):10,} (peer {peers_chunks:,}); tokens: median {statistics.median(sizes):.0f}",
        end="",
    )
    print(f", largest {max(sizes)}, under 16: {sum(size < 16 for size in sizes):,}")
    if with_tokenizer:
        estimated = sum(estimate_tokens([chunk.text for chunk in chunks]))
        print(f"the estimate gives {estimated / max(1, sum(sizes)):.2f} of the tokenizer's tokens")


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    main(Path(arguments[0] if arguments else "docs"), with_tokenizer="--tokenizer" in sys.argv)
