"""What FTS5 is asked, and the highest answer it could give."""

from math import log

import pytest

from aivax_cli.retrieval import lexical


def test_reach_counts_tokens_that_nothing_holds():
    expected = 2.2 * (log((10 - 2 + 0.5) / 2.5) + log(10.5 / 0.5))
    assert lexical.plan([("a", 2), ("b", 0)], 10).reach == pytest.approx(expected)


def test_idf_of_a_token_in_most_passages_is_the_floor():
    assert lexical.idf(10, 6) == 1e-6


def test_tokens_that_nothing_holds_are_not_matched():
    assert lexical.plan([("a", 2), ("b", 0)], 10).match == '"a"'


def test_tokens_of_most_passages_are_matched_only_where_there_are_no_others():
    assert lexical.plan([("a", 2), ("b", 9)], 10).match == '"a"'
    assert lexical.plan([("b", 1)], 1).match == '"b"'


def test_quotes_cannot_leave_the_string():
    assert lexical.plan([('a" OR "b', 1)], 10).match == '"a"" OR ""b"'


def test_a_very_long_question_is_searched_by_its_rarest_tokens():
    counts = [(f"t{number}", number) for number in range(1, 500)]
    asked = lexical.plan(counts, 10_000).match.split(" OR ")
    assert asked == [f'"t{number}"' for number in range(1, lexical.MAX_QUERY_TOKENS + 1)]


def test_common_tokens_stop_choosing_candidates_when_there_are_too_many():
    counts = [("rare", 10), ("common", lexical.MAX_POSTINGS), ("more", lexical.MAX_POSTINGS + 1)]
    assert lexical.plan(counts, 100_000).match == '"rare"'


def test_in_more_passages_tokens_may_touch_more_but_not_as_many_more():
    counts = [("rare", 10), ("common", 3 * lexical.MAX_POSTINGS), ("more", lexical.MAX_POSTINGS * 4)]
    assert lexical.plan(counts, 1_000_000).match == '"rare" OR "common"'
