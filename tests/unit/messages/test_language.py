"""Which language is chosen, and how a text that has been put together is taken apart."""

import pytest

from aivax_cli.messages.language import Catalogue, Language, chosen_language

TEXTS = {
    "no {} named '{}'": "nenhum {0} chamado '{1}'",
    "no gateway named '{}'": "nenhum gateway chamado '{0}'",
    "did you mean '{}'?": "você quis dizer '{0}'?",
    "cannot read {}: {}": "não foi possível ler {0}: {1}",
    "must be {}, not {}": "precisa ser {0}, e não {1}",
    "a list": "uma lista",
    "empty": "vazio",
    "total": "soma",
    "{} in": "{0} de entrada",
    "{} turns": "{0} turnos",
    "{} failed: {}; trying {}": "{0} falhou: {1}; tentando {2}",
    "the server is gone": "o servidor sumiu",
    "wait for {} s": "espere {0} s",
    "nothing found": "nada encontrado",
    "there are {}": "existem {0}",
    "there are no words to go by here in": "faltam palavras em que se apoiar",
    "{} refused the call{}": "{0} recusou a chamada{1}",
    "{} failed ({})": "{0} falhou ({1})",
    "judging the message": "a avaliação da mensagem",
}


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({}, "en"),
        ({"AIVAX_LANG": "pt"}, "pt"),
        ({"AIVAX_LANG": "PT-BR"}, "pt"),
        ({"LANG": "pt_BR.UTF-8"}, "pt"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "ptx"}, "en"),
        ({"LC_MESSAGES": "pt_PT", "LANG": "en_US"}, "pt"),
        ({"LC_ALL": "C", "LC_MESSAGES": "pt_BR"}, "en"),
        ({"AIVAX_LANG": "en", "LANG": "pt_BR.UTF-8"}, "en"),
        ({"AIVAX_LANG": "", "LANG": "pt_BR.UTF-8"}, "pt"),
        ({"AIVAX_LANG": "klingon", "LANG": "pt_BR.UTF-8"}, "en"),
    ],
)
def test_the_first_variable_that_says_something_chooses(variables: dict[str, str], language: str) -> None:
    assert chosen_language(variables) == language


def test_english_is_returned_as_it_is() -> None:
    assert Language("en").translate("no gateway named 'kb'") == "no gateway named 'kb'"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("total", "soma"),
        ("no gateway named 'kb'", "nenhum gateway chamado 'kb'"),
        ("no tool named 'kb'", "nenhum tool chamado 'kb'"),
        ("  nothing found\n", "  nada encontrado\n"),
        ("nothing found\n3 turns", "nada encontrado\n3 turnos"),
        ("must be a list, not empty", "precisa ser uma lista, e não vazio"),
        ("no gateway named 'kb'; did you mean 'ka'?", "nenhum gateway chamado 'kb'; você quis dizer 'ka'?"),
        ("a.yaml:3: no gateway named 'kb'", "a.yaml:3: nenhum gateway chamado 'kb'"),
        ("the server is gone; somebody else's words", "o servidor sumiu; somebody else's words"),
        (
            "a failed: the server is gone; wait for 3 s; trying b",
            "a falhou: o servidor sumiu; espere 3 s; tentando b",
        ),
        ("2 turns · somebody · nothing found", "2 turnos · somebody · nada encontrado"),
        ("2 turns and nothing found", "2 turnos e nada encontrado"),
        ("3 nothing found", "3 nada encontrado"),
        ("my file.db: nothing found: the server is gone", "my file.db: nada encontrado: o servidor sumiu"),
        ("my file.db: cannot read it: nothing found", "my file.db: não foi possível ler it: nada encontrado"),
        ("the server is gone (nothing found)", "o servidor sumiu (nada encontrado)"),
        # What leaves no sentence as it was is better than what has more words of its own.
        (
            "judging the message failed (x refused the call)",
            "a avaliação da mensagem falhou (x recusou a chamada)",
        ),
        ("rule: there are no words to go by here in", "rule: faltam palavras em que se apoiar"),
        ("x refused the call: his reason has run out in", "x recusou a chamada: his reason has run out in"),
    ],
)
def test_a_text_is_said_with_what_stands_inside_it(text: str, said: str) -> None:
    assert Catalogue(TEXTS).translate(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "words of somebody else",
        "total of all",
        "a long sentence of a model that just happens to end with the word in",
        "nothing found " * 400,
    ],
)
def test_what_is_not_known_stays_as_it_is(text: str) -> None:
    assert Catalogue(TEXTS).translate(text) == text


def test_a_quoted_name_is_no_text_even_if_it_reads_like_one() -> None:
    catalogue = Catalogue(TEXTS)

    assert catalogue.translate("no gateway named 'nothing found'") == "nenhum gateway chamado 'nothing found'"


def test_a_single_word_inside_a_text_is_a_name() -> None:
    assert Catalogue(TEXTS).translate("cannot read total: empty") == "não foi possível ler total: vazio"


def test_a_text_of_many_parts_is_given_up_soon() -> None:
    catalogue = Catalogue(TEXTS)
    text = "word; more: text, and so on · " * 100

    assert catalogue.translate(text) == text
