"""The ranking, by numbers."""

import pytest

from aivax_cli.retrieval import ranking

A, B, C, D = ((1, number) for number in range(1, 5))


def test_fused_adds_bounded_lexical_evidence_to_the_spread_similarity():
    scores = ranking.fused({A: 0.5, B: 0.3, C: 0.1}, {B: 0.25, D: 0.9})
    assert scores == pytest.approx({D: 0.7 * 1.2, B: 0.7 * 0.5 + 0.3 * 0.5, A: 0.3, C: 0.0})
    assert list(scores) == [D, B, A, C]


def test_fused_without_words_keeps_the_order_of_the_vectors():
    assert list(ranking.fused({A: 0.1, B: 0.4, C: 0.2}, {})) == [B, C, A]


def test_fused_without_vectors_keeps_the_order_of_the_words():
    assert list(ranking.fused({}, {A: 0.1, B: 0.2})) == [B, A]


def test_fused_spreads_over_the_hundred_nearest_alone():
    dense = {(1, number): 1 - number / 1000 for number in range(150)}
    scores = ranking.fused(dense, {})
    assert len(scores) == ranking.POOL
    assert scores[(1, 0)] == pytest.approx(0.3)
    assert scores[(1, 99)] == 0.0


def test_equal_similarities_all_count_in_full():
    assert ranking.spread({A: 0.2, B: 0.2}) == {A: 1.0, B: 1.0}


def test_rrf_sums_reciprocal_ranks():
    scores = ranking.rrf({A: 0.9, B: 0.8}, {B: 0.5, C: 0.1})
    assert scores == pytest.approx({B: 1 / 62 + 1 / 61, A: 1 / 61, C: 1 / 62})
    assert list(scores) == [B, A, C]


def test_lexical_boosts_the_order_of_the_vectors_by_words_within_bounds():
    scores = ranking.boosted({A: 0.5, B: 0.4, C: 0.1}, {B: 0.25, C: 5.0, D: 0.9})
    assert scores == pytest.approx({B: 0.75 + 0.5, A: 1.0, C: ranking.LEXICAL_BOOST})
    assert list(scores) == [B, A, C]


def test_none_is_the_order_of_the_vectors():
    assert list(ranking.RANKERS["none"]({A: 0.1, B: 0.9}, {C: 1.0})) == [B, A]


def test_a_union_counts_a_passage_by_its_best_term():
    assert ranking.union_by_best([{A: 0.2, B: 0.5}, {A: 0.7, C: 0.1}]) == {A: 0.7, B: 0.5, C: 0.1}


@pytest.mark.parametrize(
    ("similarity", "lexical", "score"),
    [
        (0.4, 0.0, 0.4),
        (-0.2, None, 0.0),
        (1.3, None, 1.0),
        (0.1, 0.5, 0.5),  # every word is there
        (0.1, 0.35, 0.2),  # enough to pass the default min_score
        (0.1, 0.25, 0.1),  # half of the words say nothing
        (0.6, 0.5, 0.6),
        (None, 0.5, 0.5),  # no vector yet
        (None, 0.2, 0.2),
    ],
)
def test_a_score_is_the_similarity_unless_the_words_say_more(similarity, lexical, score):
    assert ranking.score(similarity, lexical) == pytest.approx(score)


def test_ranking_changes_nothing_it_was_given():
    dense, lexical = {A: 0.5, B: 0.9}, {A: 0.1}
    for ranker in ranking.RANKERS.values():
        ranker(dense, lexical)
    assert (list(dense), list(lexical)) == ([A, B], [A])
