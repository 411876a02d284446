"""What a terminal would obey is taken out of text."""

import pytest

from aivax_cli.render.safe_text import safe_line, safe_text


@pytest.mark.parametrize(
    "hostile",
    ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "a\x08b", "\x1b]52;c;ZXZpbA==\x07", "\x00", "\x7f", "\x0e"],
)
def test_no_control_character_is_left(hostile: str) -> None:
    assert safe_text(hostile).isprintable()


def test_what_a_person_can_read_of_a_sequence_stays() -> None:
    assert safe_text("\x1b[31mred") == "␛[31mred"


def test_line_ends_of_every_kind_become_newlines() -> None:
    assert safe_text("a\r\nb\rc\u2028d\ne") == "a\nb\nc\nd\ne"


def test_overrides_of_the_writing_direction_are_dropped_and_right_to_left_text_stays() -> None:
    assert safe_text("user\u202etxt.exe\u2066 שלום") == "usertxt.exe שלום"


def test_tabs_emoji_and_combining_characters_stay() -> None:
    text = "\té é 👩‍👩‍👧 日本語"
    assert safe_text(text) == text


def test_a_lone_surrogate_can_be_printed() -> None:
    assert safe_text("\ud83d").encode() == "\ufffd".encode()


def test_a_line_is_one_line() -> None:
    assert safe_line(" a\r\n  b\x1b[2J\tc ") == "a b␛[2J c"
