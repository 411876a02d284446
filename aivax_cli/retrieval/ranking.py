"""From two lists of hits to one ranking. Pure: no index, no embedder, nothing but numbers.

Both sides come on scales that mean the same in every collection, so that hits of several collections can be
ranked together:

- `dense` is the similarity `(cos - μ) / (1 - μ)`, where μ is the cosine of unrelated texts in the collection:
  0 is unrelated, 1 identical.
- `lexical` is `bm25 / U`, where U is the highest BM25 that the question could reach in the collection:
  1 would be a passage made of nothing but the question's words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

POOL = 100
"""Hits of each side that take part. More changes nothing at the top and costs time."""

WORDS_WEIGHT = 1.0
WORDS_POWER = 1.25
"""`fused` adds `1.0 · lexical ** 1.25` to the similarity. A passage of average length that holds each word of
the question once has a lexical value of 1 / (k1 + 1) = 0.45 and so gains 0.37, which is about the similarity
of a right passage. A power above 1 makes one word of many count for less than its share: that one is often a
name which half of a document's passages hold, or a word that another language happens to write alike.

The optimum is flat. Over 43 sets (nine languages, questions in one over documents in another, keywords,
typing errors, code) the mean MRR@10 is 83.5, and between 83.2 and 83.6 for weights of 0.7 to 1.7 and for
powers of 1 to 1.5. Less of either suits questions in another language, more of it keywords."""

LEXICAL_REACH = 0.5
"""In `lexical`, the part of U that counts as a full match. Flat from 0.4 to 0.6."""

LEXICAL_BOOST = 1.0
"""The most that words add in `lexical`: the distance from the nearest vector to the last of the pool. Half as
much again gains 0.3 points of MRR@10 in Portuguese, none in English; half of it loses 2.5 in Portuguese."""

RRF_K = 60
"""The constant of reciprocal rank fusion, as in Cormack, Clarke and Büttcher (SIGIR 2009)."""

Key = TypeVar("Key")


class Weights(Struct, frozen=True):
    """The constants of `fused`, together, so that a benchmark can sweep them."""

    words: float = WORDS_WEIGHT
    power: float = WORDS_POWER
    pool: int = POOL

    def by_words(self, lexical: float) -> float:
        """What words add to a passage's similarity."""
        return self.words * math.pow(lexical, self.power)


DEFAULT_WEIGHTS = Weights()


def best(hits: Mapping[Key, float], count: int = POOL) -> dict[Key, float]:
    """The `count` highest hits, best first; ties keep the order they came in."""
    return dict(sorted(hits.items(), key=lambda hit: -hit[1])[:count])


def spread(dense: Mapping[Key, float]) -> dict[Key, float]:
    """Similarities stretched so that the best is 1 and the last of the pool is 0; all 1 when none differ."""
    if not dense:
        return {}
    low, high = min(dense.values()), max(dense.values())
    if high <= low:
        return dict.fromkeys(dense, 1.0)
    return {key: (value - low) / (high - low) for key, value in dense.items()}


def fused(
    dense: Mapping[Key, float], lexical: Mapping[Key, float], weights: Weights = DEFAULT_WEIGHTS
) -> dict[Key, float]:
    """Score fusion: `similarity + 1.0 · lexical ** 1.25` over the union of both pools.

    Neither side is stretched to the range of its pool: a question whose best passage is only a little nearer
    than others says so, and so does one whose words are hardly there. U counts every word of the question,
    also those that no document holds. A question in another language, or in other words than the documents',
    therefore weighs little lexically and is left to the vectors.
    """
    words = best(lexical, weights.pool)
    scores = {key: dense.get(key, 0.0) for key in [*best(dense, weights.pool), *words]}
    for key, value in words.items():
        scores[key] += weights.by_words(value)
    return best(scores, len(scores))


def rrf(dense: Mapping[Key, float], lexical: Mapping[Key, float], k: int = RRF_K) -> dict[Key, float]:
    """Reciprocal rank fusion: the sum of `1 / (60 + rank)` over the two pools."""
    scores: dict[Key, float] = {}
    for side in (best(dense), best(lexical)):
        for rank, key in enumerate(side, start=1):
            scores[key] = scores.get(key, 0.0) + 1 / (k + rank)
    return best(scores, len(scores))


def boosted(
    dense: Mapping[Key, float],
    lexical: Mapping[Key, float],
    boost: float = LEXICAL_BOOST,
    reach: float = LEXICAL_REACH,
) -> dict[Key, float]:
    """The order of the vectors, with a bounded boost for words: `spread(dense) + min(1, lexical / 0.5)`.

    Words move passages within the pool of the vectors; what only words have found stays out.
    """
    scores = {
        key: near + boost * min(1.0, lexical.get(key, 0.0) / reach)
        for key, near in spread(best(dense)).items()
    }
    return best(scores, len(scores))


def vectors_only(dense: Mapping[Key, float], lexical: Mapping[Key, float]) -> dict[Key, float]:
    """The order of the vectors; the lexical side takes no part."""
    del lexical
    return best(dense)


Hit = tuple[int, int]
"""A passage among several collections: the collection's id, and a key that is unique in it."""

Ranker = Callable[[Mapping[Hit, float], Mapping[Hit, float]], dict[Hit, float]]

RANKERS: dict[str, Ranker] = {"fused": fused, "rrf": rrf, "lexical": boosted, "none": vectors_only}
"""Rankings by the name that `knowledge.reranker` gives."""


def union_by_best(rankings: Sequence[Mapping[Key, float]]) -> dict[Key, float]:
    """Several terms' rankings as one: a passage counts as its best term."""
    merged: dict[Key, float] = {}
    for ranking in rankings:
        for key, value in ranking.items():
            merged[key] = max(value, merged.get(key, value))
    return best(merged, len(merged))


EXPECTED_WORDS = 0.08
"""What an eighth of U adds in words: where the words could be found, a passage that holds fewer scores less
than its similarity. More finds less for questions that the documents do not cover, and cuts more of the right
passages: see `docs/performance.md`."""


def score(
    similarity: float | None, lexical: float | None, found: float = 0.0, expected: float = EXPECTED_WORDS
) -> float:
    """What users see and `min_score` cuts by, from 0 to 1: the similarity and what words add in `fused`, as
    two reasons that do not depend on each other, less the words to be expected:
    `1 - (1 - similarity) · (1 - lexical ** 1.25) - 0.08 · found`.

    `found` is the part of U that the words make up which some document of the collection holds: those may be
    expected of a right passage. Where the documents are in another language, nothing is. All words of a code
    or a number that means nothing to the embedder pass the default `min_score` of 0.2.

    `lexical` is None where words do not set passages apart; then the similarity alone counts. A passage that
    has no vector yet (`similarity` of None) scores by its words alone.
    """
    if similarity is None:
        return _within(lexical or 0.0)
    if lexical is None:
        return _within(similarity)
    words = DEFAULT_WEIGHTS.by_words(lexical)
    return _within(1 - (1 - similarity) * (1 - words) - expected * found)


def _within(value: float) -> float:
    return max(0.0, min(1.0, value))
