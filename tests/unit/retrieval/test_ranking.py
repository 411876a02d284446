"""The ranking, by numbers."""

import pytest

from aivax_cli.core.types import RetrievalLimits
from aivax_cli.retrieval import ranking

A, B, C, D = ((1, number) for number in range(1, 5))


def test_fused_adds_the_words_to_the_similarity():
    scores = ranking.fused({A: 0.5, B: 0.3, C: 0.1}, {B: 0.25, D: 0.9})
    assert scores == pytest.approx({D: 0.9**1.25, A: 0.5, B: 0.3 + 0.25**1.25, C: 0.1})
    assert list(scores) == [D, A, B, C]


def test_fused_counts_few_of_the_words_for_less_than_their_share():
    few = ranking.fused({A: 0.0}, {A: 0.1})[A]
    assert few < ranking.fused({A: 0.0}, {A: 0.5})[A] / 5


def test_fused_without_words_keeps_the_order_of_the_vectors():
    assert list(ranking.fused({A: 0.1, B: 0.4, C: 0.2}, {})) == [B, C, A]


def test_fused_without_vectors_keeps_the_order_of_the_words():
    assert list(ranking.fused({}, {A: 0.1, B: 0.2})) == [B, A]


def test_fused_takes_the_hundred_nearest_and_what_words_have_found_farther_away():
    dense = {(1, number): 1 - number / 1000 for number in range(150)}
    scores = ranking.fused(dense, {(1, 120): 0.01})
    assert len(scores) == ranking.POOL + 1
    assert scores[(1, 99)] == pytest.approx(0.901)
    assert scores[(1, 120)] == pytest.approx(0.88 + 0.01**1.25)


def test_fused_ranks_hits_of_a_question_by_the_same_scale_in_every_collection():
    other = (2, 1)
    assert list(ranking.fused({A: 0.3, B: 0.1, other: 0.2}, {})) == [A, other, B]


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
    ("similarity", "lexical", "found", "score"),
    [
        (0.4, None, 0.0, 0.4),  # words that say nothing
        (-0.2, None, 0.0, 0.0),
        (1.3, None, 0.0, 1.0),
        (0.4, 0.0, 0.0, 0.4),  # a question in another language
        (0.4, 0.0, 1.0, 0.32),  # none of the words, which other documents hold
        (0.4, 0.5, 1.0, 1 - 0.6 * (1 - 0.5**1.25) - 0.08),
        (1.0, 1.0, 0.0, 1.0),
        (None, 0.5, 1.0, 0.5),  # no vector yet
        (None, 0.2, 1.0, 0.2),
        (None, None, 0.0, 0.0),
    ],
)
def test_a_score_is_the_similarity_and_the_words_less_those_to_be_expected(similarity, lexical, found, score):
    assert ranking.score(similarity, lexical, found) == pytest.approx(score)


def test_all_words_of_a_question_that_means_nothing_to_the_embedder_pass_the_default_min_score():
    assert ranking.score(-0.02, 0.45, 1.0) >= RetrievalLimits().min_score


def test_an_eighth_of_the_words_leaves_the_score_at_the_similarity():
    assert ranking.score(0.0, 1 / 8, 1.0) == pytest.approx(0.0, abs=0.01)


def test_ranking_changes_nothing_it_was_given():
    dense, lexical = {A: 0.5, B: 0.9}, {A: 0.1}
    for ranker in ranking.RANKERS.values():
        ranker(dense, lexical)
    assert (list(dense), list(lexical)) == ([A, B], [A])
