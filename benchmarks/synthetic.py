"""Collections of any size for benchmarks: text with Zipf's word frequencies, and vectors in clusters.

Real text repeats a few words very often and most words hardly ever (the r-th word 1/r as often as the first),
which is what makes a lexical index slow; real embeddings lie in clusters, which is what makes an approximate
index find its way. Everything comes from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.embedding.base import Embedded
from aivax_cli.retrieval.records import EmbedderTag, FileStamp, NewChunk, NewDocument
from aivax_cli.retrieval.snapshots import sync_snapshot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

COLLECTION = "benchmark"
DIMENSION = 384
VOCABULARY = 50_000
WORDS_PER_CHUNK = 110
QUESTION_WORDS = 8
CHUNKS_PER_DOCUMENT = 10
DOCUMENTS_PER_COMMIT = 500
CLUSTERS = 500
SPREAD = 0.6
"""How far a vector lies from its cluster's centre, and a question's from its passage, in lengths of it."""
BACKGROUND = 0.1


def words(count: int, seed: int) -> list[str]:
    """`count` words drawn by Zipf's law from `VOCABULARY` invented ones."""
    import numpy as np

    chances = 1.0 / np.arange(1, VOCABULARY + 1)
    drawn = np.random.default_rng(seed).choice(VOCABULARY, size=count, p=chances / chances.sum())
    return [_word(int(number)) for number in drawn]


def _word(number: int) -> str:
    """A word for each number, shorter for lower ones: consonant and vowel in turns, as if it were one."""
    syllables = []
    number += 80
    while number:
        number, syllable = divmod(number, 80)
        syllables.append("bcdfghjklmnprstv"[syllable // 5] + "aeiou"[syllable % 5])
    return "".join(syllables) + "x"  # no ending that a stemmer would cut


def texts(chunks: int, seed: int = 1) -> Iterator[str]:
    """The chunks' texts."""
    for start in range(0, chunks, 1000):
        count = min(1000, chunks - start)
        drawn = words(count * WORDS_PER_CHUNK, seed * 1_000_003 + start)
        for number in range(count):
            yield " ".join(drawn[number * WORDS_PER_CHUNK : (number + 1) * WORDS_PER_CHUNK])


@cache
def _centres() -> Vectors:
    import numpy as np

    return np.random.default_rng(0).standard_normal((CLUSTERS, DIMENSION), dtype=np.float32)


def vectors(count: int, start: int = 0) -> Vectors:
    """The vectors of the chunks from number `start` on, of length 1."""
    import numpy as np

    centres = _centres()
    chance = np.random.default_rng(1000 + start)
    rows = centres[chance.integers(0, CLUSTERS, count)]
    rows = rows + SPREAD * chance.standard_normal((count, DIMENSION), dtype=np.float32)
    return _unit(rows)


def _unit(rows: Vectors) -> Vectors:
    import numpy as np

    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


class SyntheticEmbedder:
    """Gives texts vectors by their number, and costs nothing unless `work` is done for each question."""

    name = "synthetic"
    fingerprint = "synthetic/1"
    dimension = DIMENSION
    max_tokens = 512

    def __init__(self, work: Callable[[Sequence[str]], object] = lambda _: None) -> None:
        self._work = work
        self._asked = 0

    def embed_queries(self, asked: Sequence[str]) -> Embedded:
        """A vector near to some chunk's for each question."""
        import numpy as np

        self._work(asked)
        self._asked += 1
        chance = np.random.default_rng(self._asked)
        near = vectors(len(asked), self._asked * 10_000_019)
        noise = chance.standard_normal(near.shape, dtype=np.float32) * SPREAD / np.sqrt(DIMENSION)
        return Embedded(_unit(near + noise), 10 * len(asked))

    def embed_passages(
        self, passages: Sequence[str], on_batch: Callable[[int], None] | None = None
    ) -> Embedded:
        """Vectors that say nothing of the texts, the same ones for the same batch; cheap."""
        if on_batch is not None:
            on_batch(len(passages))
        start = crc32(passages[0].encode()) if passages else 0
        return Embedded(vectors(len(passages), start), WORDS_PER_CHUNK * len(passages))

    def count_tokens(self, counted: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in counted]


TAG = EmbedderTag(SyntheticEmbedder.name, SyntheticEmbedder.fingerprint, DIMENSION)


def build(directory: Path, chunks: int, *, tag: EmbedderTag = TAG, chroma: bool = True) -> None:
    """Stores a collection in `directory`, unless one of that size is there, and builds its Chroma index.

    `tag` is the embedder that the vectors are said to be of.
    """
    directory.mkdir(parents=True, exist_ok=True)
    catalogue = Catalogue.create(directory)
    with catalogue.reading() as reader:
        stored = reader.collection(COLLECTION)
    if stored is None:
        with catalogue.writing() as writer:
            number = writer.create_collection(COLLECTION, tag).id
            writer.set_background(number, BACKGROUND, chunks)
        _fill(catalogue, number, chunks)
    with catalogue.reading() as reader:
        stored = reader.collection(COLLECTION)
    assert stored is not None and stored.chunks == chunks, f"{directory} holds another collection"
    if chroma:
        problem = sync_snapshot(catalogue, stored, directory)
        assert problem is None, problem
    catalogue.close()


def _fill(catalogue: Catalogue, collection_id: int, chunks: int) -> None:
    per_commit = DOCUMENTS_PER_COMMIT * CHUNKS_PER_DOCUMENT
    every = texts(chunks)
    for start in range(0, chunks, per_commit):
        with catalogue.writing() as writer:
            for first in range(start, min(start + per_commit, chunks), CHUNKS_PER_DOCUMENT):
                count = min(CHUNKS_PER_DOCUMENT, chunks - first)
                parts = [NewChunk(next(every), "", 1, 1, None, WORDS_PER_CHUNK) for _ in range(count)]
                name = f"{first:08}.md"
                new = NewDocument(name, "", "markdown", name.encode(), FileStamp(1, 1, 1), 1)
                writer.put_document(collection_id, new, parts)
            pending = writer.pending_chunks(collection_id, 0, per_commit)
            rows = vectors(len(pending), start)
            pairs = zip(pending, rows, strict=True)
            writer.add_vectors(collection_id, ((chunk.hash, row.tobytes()) for chunk, row in pairs))
            writer.complete_documents(collection_id, dict.fromkeys(chunk.document_id for chunk in pending))
