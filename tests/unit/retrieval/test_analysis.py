"""Text becomes tokens."""

import pytest

from aivax_cli.retrieval.analysis import Analyzer, fold, words


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Ação", "acao"),
        ("ﬁnal", "final"),
        ("STRASSE Straße", "strasse strasse"),
        ("Ñandú", "nandu"),
        ("½", "1⁄2"),
    ],
)
def test_folding_takes_case_diacritics_and_ligatures_off(text, folded):
    assert fold(text) == folded


def test_composed_and_decomposed_letters_are_the_same():
    assert fold("re\u0301sume\u0301") == fold("résumé")


def test_stop_words_of_three_languages_are_left_out():
    assert words("What is the cost of a token? Qual é o custo? ¿Cuál es el precio?") == [
        "cost", "token", "custo", "precio",
    ]  # fmt: skip


def test_words_are_split_at_everything_that_is_no_letter_or_digit():
    assert words("max_tokens: ERR-4512, e-mail@x.org") == ["max", "tokens", "err", "4512", "mail", "x", "org"]


def test_a_word_gives_its_english_and_its_portuguese_stem():
    assert Analyzer().tokens("connections trabalhando") == [
        "econnect", "pconnections", "etrabalhando", "ptrabalh",
    ]  # fmt: skip


def test_inflections_share_a_stem_in_their_language():
    analyzer = Analyzer()
    assert analyzer.tokens("embedding")[0] == analyzer.tokens("embedded")[0]
    assert analyzer.tokens("configuração")[1] == analyzer.tokens("configurações")[1]


def test_a_question_has_each_token_once():
    assert Analyzer().query("cost COST Cost") == ("ecost", "pcost")


def test_text_without_words_has_no_tokens():
    assert Analyzer().query("?! — … ()") == ()
