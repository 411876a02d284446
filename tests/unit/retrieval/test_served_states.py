"""What the catalogue knows of a collection on a server."""

from __future__ import annotations

import pytest

from aivax_cli.retrieval.names import server_name
from aivax_cli.retrieval.records import Collection, EmbedderTag
from aivax_cli.retrieval.served import Held


def collection(snapshot: str | None) -> Collection:
    tag = EmbedderTag("e", "e/1", 4)
    return Collection(1, "kb", tag, "a", 0, None, 0, 0, snapshot, 0, 0, 0.0, 0.0)


@pytest.mark.parametrize("held", [Held("aivax-kb-12", "ab12"), Held("aivax-kb-12", "ab12", "cd34")])
def test_what_is_noted_is_read_again(held):
    assert Held.of(collection(str(held))) == held


@pytest.mark.parametrize("snapshot", [None, "", "3-17-0a1b2c3d", "name@", "@ab", "name@ab>", "a@b@c"])
def test_a_folder_or_anything_else_is_nothing_on_a_server(snapshot):
    assert Held.of(collection(snapshot)) is None


def test_while_a_change_is_under_way_both_states_are_known_and_no_other():
    held = Held("name", "ab", "cd")
    assert [held.knows(revision) for revision in ("ab", "cd", "ef", None)] == [True, True, False, False]
    assert not Held("name", "ab").knows("cd")


@pytest.mark.parametrize("name", ["kb", "Documentação técnica", "日本語", "x" * 128, "a/../b"])
def test_every_name_on_a_server_is_new_and_one_that_chroma_takes(name):
    made = {server_name(name) for _ in range(50)}
    assert len(made) == 50
    assert all(3 <= len(each) <= 128 and each.isascii() and ".." not in each for each in made)
    assert all(each.replace("-", "").isalnum() and each.startswith("aivax-") for each in made)
