"""From two lists of hits to one ranking. Pure: no index, no embedder, nothing but numbers.

Both sides come on scales that mean the same in every collection, so that hits of several collections can be
ranked together:

- `dense` is the similarity `(cos - μ) / (1 - μ)`, where μ is the cosine of unrelated texts in the collection:
  0 is unrelated, 1 identical.
- `lexical` is `bm25 / U`, where U is the highest BM25 that the question could reach in the collection:
  1 would be a passage made of nothing but the question's words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

POOL = 100
"""Hits of each side that take part. More changes nothing at the top and costs time."""

LEXICAL_WEIGHT = 0.7
DENSE_WEIGHT = 0.3
"""Share of each side in `fused`. The optimum is flat: 0.5 to 0.7 for the lexical side stay within a point of
MRR@10, because the lexical side fades by itself where its words are not found (see `LEXICAL_REACH`)."""

LEXICAL_REACH = 0.5
"""The part of U that counts as a full lexical match. A passage of average length that holds each word of the
question once reaches 1 / (k1 + 1) = 0.45 of it. Flat from 0.4 to 0.6."""

LEXICAL_CEILING = 1.2
"""Where lexical evidence ends to grow: beyond it lies repetition, not relevance."""

LEXICAL_BOOST = 1.0
"""The most that words add in `lexical`: the distance from the nearest vector to the last of the pool. Half as
much again gains 0.3 points of MRR@10 in Portuguese, none in English; half of it loses 2.5 in Portuguese."""

RRF_K = 60
"""The constant of reciprocal rank fusion, as in Cormack, Clarke and Büttcher (SIGIR 2009)."""

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Weights:
    """The constants of `fused`, together, so that a benchmark can sweep them."""

    lexical: float = LEXICAL_WEIGHT
    dense: float = DENSE_WEIGHT
    reach: float = LEXICAL_REACH
    ceiling: float = LEXICAL_CEILING


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
    """Score fusion: `0.7 · min(1.2, lexical / 0.5) + 0.3 · spread(dense)` over the union of both pools.

    U counts every word of the question, also those that no document holds. A question in another language,
    or in other words than the documents', therefore weighs little lexically and is left to the vectors.
    """
    near = spread(best(dense))
    scores = {key: weights.dense * value for key, value in near.items()}
    for key, value in best(lexical).items():
        evidence = min(weights.ceiling, value / weights.reach)
        scores[key] = scores.get(key, 0.0) + weights.lexical * evidence
    return best(scores, len(scores))


def rrf(dense: Mapping[Key, float], lexical: Mapping[Key, float]) -> dict[Key, float]:
    """Reciprocal rank fusion: the sum of `1 / (60 + rank)` over the two pools."""
    scores: dict[Key, float] = {}
    for side in (best(dense), best(lexical)):
        for rank, key in enumerate(side, start=1):
            scores[key] = scores.get(key, 0.0) + 1 / (RRF_K + rank)
    return best(scores, len(scores))


def boosted(
    dense: Mapping[Key, float], lexical: Mapping[Key, float], boost: float = LEXICAL_BOOST
) -> dict[Key, float]:
    """The order of the vectors, with a bounded boost for words: `spread(dense) + min(1, lexical / 0.5)`.

    Words move passages within the pool of the vectors; what only words have found stays out.
    """
    scores = {
        key: near + boost * min(1.0, lexical.get(key, 0.0) / LEXICAL_REACH)
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


WORDS_FROM = 0.5
"""Lexical evidence (as in `fused`, 0 to 1) from which on words alone let a passage pass for related."""

WORDS_SCORE = 0.5
"""The score of full lexical evidence: about the median of right passages' similarities (0.41 to 0.47)."""


def score(similarity: float | None, lexical: float | None) -> float:
    """What users see and `min_score` cuts by, from 0 to 1: the similarity, or what the words say if more.

    The vector of a question for a code, a name or a number may be near to nothing. So a passage that holds
    most of the question's weight in words scores by them: from 0 at half of full evidence to 0.5 at all of
    it, which passes the default `min_score` of 0.2 at 0.7. Few questions that nothing answers find a passage
    with that many of their words, while most right passages of low similarity have them.

    A passage that has no vector yet (`similarity` of None) scores by its words alone, 0.5 for full evidence.
    """
    evidence = min(1.0, (lexical or 0.0) / LEXICAL_REACH)
    if similarity is None:
        return WORDS_SCORE * evidence
    by_words = WORDS_SCORE * (evidence - WORDS_FROM) / (1 - WORDS_FROM)
    return max(0.0, min(1.0, max(similarity, by_words)))
