"""Bytes become text, whatever wrote them."""

from __future__ import annotations

import os

import pytest

from aivax_cli.ingest.readers.conversion import unescaped, usable_title
from aivax_cli.ingest.readers.text import cleaned, decode
from aivax_cli.ingest.sniffing import looks_like_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read_without_a_warning(encoding: str) -> None:
    assert decode("ação — 日本".encode(encoding)) == ("ação — 日本", ())


def test_a_legacy_file_is_read_as_windows_1252_and_says_so() -> None:
    text, warnings = decode("Ação “rápida” custa 5 €".encode("cp1252"))
    assert text == "Ação “rápida” custa 5 €"
    assert warnings == ("not UTF-8; read as Windows-1252",)


def test_utf_8_with_a_few_wrong_bytes_stays_utf_8() -> None:
    text, warnings = decode("ação, coração, preços".encode() + b"\xff\xfe!")
    assert text == "ação, coração, preços\ufffd\ufffd!"
    assert warnings == ("invalid UTF-8: 2 characters replaced",)


def test_a_declared_encoding_is_used_when_utf_8_fails() -> None:
    assert decode("привет".encode("koi8-r"), "koi8-r") == ("привет", ())


def test_a_declared_encoding_that_nobody_knows_is_no_error() -> None:
    text, warnings = decode("olá".encode("cp1252"), "no-such-encoding")
    assert (text, len(warnings)) == ("olá", 1)


def test_line_ends_become_one_kind() -> None:
    assert cleaned("a\r\nb\rc\nd") == "a\nb\nc\nd"


def test_characters_that_nobody_sees_are_taken_out() -> None:
    assert cleaned("\ufeffa\x00b\x1b[31mred\x1b[0m\x07\tc") == "abred\tc"


def test_a_form_feed_parts_words() -> None:
    assert cleaned("one\x0ctwo").split() == ["one", "two"]


def test_text_is_told_from_bytes() -> None:
    assert looks_like_text("ação\n".encode("utf-16"))
    assert looks_like_text("ação\n".encode("cp1252"))
    assert looks_like_text(b"\x1b[1mlog\x1b[0m\n")
    assert not looks_like_text(b"text\0text")
    assert not looks_like_text(b"\x7fELF\x02\x01\x01" + bytes(range(1, 32)) * 9)
    assert not looks_like_text(os.urandom(4096).replace(b"\0", b"\x01"))


def test_backslashes_that_protect_nothing_go() -> None:
    assert unescaped("R\\&D costs 5 \\* 3\\!\n") == "R&D costs 5 * 3!\n"


def test_backslashes_that_keep_a_line_what_it_is_stay() -> None:
    assert (
        unescaped("\\# no heading\n\\- no item\n| a \\| b \\& c |\n")
        == "\\# no heading\n\\- no item\n| a \\| b & c |\n"
    )


def test_backslashes_in_code_stay() -> None:
    assert unescaped("a\\!\n```\nb\\!\n```\n") == "a!\n```\nb\\!\n```\n"


@pytest.mark.parametrize(
    "title", ["Microsoft Word - a.doc", "untitled", "report.docx", "Document1", "  ", None, 3]
)
def test_a_title_that_a_program_wrote_is_none(title: object) -> None:
    assert usable_title(title) is None


def test_a_title_that_a_person_wrote_is_kept() -> None:
    assert usable_title(" Annual \n report ") == "Annual report"
