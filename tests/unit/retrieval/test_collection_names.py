"""Names of collections."""

import re

import pytest

from aivax_cli.core.errors import UsageError
from aivax_cli.retrieval.names import check_name, chroma_name

NAMES = [
    "kb",
    "docs",
    "Documentação",
    "日本語",
    "a" * 128,
    "-x-",
    "a..b",
    "aivax-kb",
    "two words",
    "KB",
    "é",
    "e",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_becomes_one_that_chroma_takes(name):
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]", chroma_name(name))
    assert ".." not in chroma_name(name)


def test_different_names_stay_different():
    assert len({chroma_name(name) for name in NAMES}) == len(NAMES)


def test_a_name_that_chroma_takes_is_kept():
    assert chroma_name("docs") == "docs"


@pytest.mark.parametrize("name", ["", " kb", "kb ", "a/b", "a\\b", "a\nb", "x" * 129])
def test_names_that_could_not_be_typed_or_shown_are_refused(name):
    with pytest.raises(UsageError, match="cannot name a collection"):
        check_name(name)


@pytest.mark.parametrize("name", ["kb", "Documentação", "two words"])
def test_other_names_are_fine(name):
    check_name(name)
