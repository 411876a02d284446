"""Names of tools: what endpoints take, and no two alike."""

import pytest

from aivax_cli.tools.names import free_name, function_name


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("add", "add"),
        ("get-page_2", "get-page_2"),
        ("read.page!", "read_page"),
        ("fs/read file", "fs_read_file"),
        ("2fast", "_2fast"),
        ("-x", "_-x"),
        ("été", "t"),
        ("検索", "tool"),
        ("", "tool"),
        ("a" * 80, "a" * 64),
    ],
)
def test_a_name_is_made_one_that_endpoints_take(name: str, offered: str) -> None:
    assert function_name(name) == offered


def test_a_name_that_is_taken_gets_its_owners_before_it() -> None:
    assert free_name("search", "wiki", {"search"}) == "wiki_search"


def test_a_name_that_is_still_taken_gets_a_number() -> None:
    assert free_name("search", "wiki", {"search", "wiki_search"}) == "wiki_search_2"


def test_a_long_name_stays_within_the_limit() -> None:
    taken = {"a" * 64}
    for _ in range(12):
        name = free_name("a" * 70, "b" * 70, taken)
        assert len(name) <= 64
        assert name not in taken
        taken.add(name)
