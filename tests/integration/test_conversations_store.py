"""The tree of kept conversations, in a real file."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aivax_cli.conversations.file import CONVERSATIONS_FILE
from aivax_cli.conversations.log import ConversationLog
from aivax_cli.conversations.records import KeptFile, Node, Summary, TurnRecord
from aivax_cli.conversations.store import Conversations
from aivax_cli.core.errors import ConversationError, NotFoundError
from aivax_cli.core.types import Attached, Image

LATER = timedelta(minutes=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Conversations]:
    opened = Conversations(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[ConversationLog]:
    opened = ConversationLog(tmp_path)
    yield opened
    opened.close()


def turn(store: Conversations, name: str, after: Node | None, question: str, answer: str) -> Node:
    node = store.ask(name, after, question)
    store.finish(name, node, answer, "whole", TurnRecord())
    return node


def spoken(store: Conversations, prefix: str) -> list[tuple[str, str]]:
    return [(each.question, each.text) for each in store.turns(store.named(prefix).head)]


def test_turns_come_back_in_their_order(store: Conversations) -> None:
    name = store.begin("talk", "one")
    first = turn(store, name, None, "one", "1")
    turn(store, name, first, "two", "2")
    assert spoken(store, name) == [("one", "1"), ("two", "2")]


def test_a_question_is_kept_before_its_answer(store: Conversations) -> None:
    name = store.begin("talk", "anyone?")
    node = store.ask(name, None, "anyone?")
    assert [(each.question, each.text, each.state) for each in store.turns(node.answer)] == [
        ("anyone?", "", "writing")
    ]


def test_half_a_character_keeps_nothing_out(store: Conversations) -> None:
    name = store.begin("talk", "odd \ud83d end")
    turn(store, name, None, "odd \ud83d end", "too \udc00")
    assert spoken(store, name) == [("odd ? end", "too ?")]


def test_attached_files_come_back(store: Conversations) -> None:
    name = store.begin("talk", "look")
    files = (
        KeptFile("docs/a.txt", Attached("a.txt", "its text")),
        KeptFile("b.png", Image("data:image/png;base64,AAAA")),
    )
    node = store.ask(name, None, "look", files)
    assert store.turns(node.answer)[0].files == files


def test_a_turn_that_is_taken_back_stays_in_the_tree(store: Conversations, log: ConversationLog) -> None:
    name = store.begin("talk", "one")
    first = turn(store, name, None, "one", "1")
    turn(store, name, first, "wrong", "no")
    store.go_back(name, first)
    turn(store, name, first, "right", "yes")
    assert spoken(store, name) == [("one", "1"), ("right", "yes")]
    tree = {(each.content, each.on_path) for each in log.messages(log.named(name))}
    assert {("wrong", False), ("no", False), ("right", True)} <= tree


def test_another_answer_stands_beside_the_first(store: Conversations, log: ConversationLog) -> None:
    name = store.begin("talk", "one")
    first = turn(store, name, None, "one", "1")
    again = store.ask_again(name, first)
    store.finish(name, again, "I", "whole", TurnRecord())
    assert again.question == first.question
    assert spoken(store, name) == [("one", "I")]
    assert [each.content for each in log.messages(log.named(name))] == ["one", "1", "I"]


def test_a_fork_shares_what_came_before_and_nothing_else(store: Conversations) -> None:
    name = store.begin("talk", "one")
    first = turn(store, name, None, "one", "1")
    turn(store, name, first, "two", "2")
    other = store.fork(name, first)
    turn(store, other, first, "zwei", "II")
    assert spoken(store, name) == [("one", "1"), ("two", "2")]
    assert spoken(store, other) == [("one", "1"), ("zwei", "II")]


def test_a_fork_outlives_what_it_came_from(store: Conversations, log: ConversationLog) -> None:
    name = store.begin("talk", "one")
    first = turn(store, name, None, "one", "1")
    turn(store, name, first, "two", "2")
    other = store.fork(name, first)
    third = store.fork(other, first)
    log.delete(name)
    assert log.search("two") == ()
    log.delete(other)
    assert spoken(store, third) == [("one", "1")]
    assert [each.conversation for each in log.search("one")] == [third]


def test_a_summary_belongs_to_its_turn(store: Conversations) -> None:
    name = store.begin("talk", "one")
    first = turn(store, name, None, "one", "1")
    second = turn(store, name, first, "two", "2")
    store.summarise(first, Summary("They counted."))
    summaries = [each.summary.text if each.summary else None for each in store.turns(second.answer)]
    assert summaries == ["They counted.", None]


def test_the_latest_is_the_one_in_which_something_was_said_last(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    clock = iter(moment + timedelta(seconds=second) for second in range(100))
    store = Conversations(tmp_path, now=lambda: next(clock))
    old = store.begin("talk", "old")
    node = turn(store, old, None, "old", "1")
    new = store.begin("other", "new")
    assert store.latest().id == new
    assert store.latest("talk").id == old
    turn(store, old, node, "more", "2")
    assert store.latest().id == old


def test_an_id_may_be_cut_short_while_it_is_the_only_one(store: Conversations) -> None:
    names = [store.begin("talk", str(number)) for number in range(40)]
    assert store.named(names[0][:7].upper()).id == names[0]
    first = next(name for name in names if sum(each[0] == name[0] for each in names) > 1)
    with pytest.raises(NotFoundError, match="begins several ids"):
        store.named(first[0])
    with pytest.raises(NotFoundError, match="no conversation"):
        store.named("xyz")


def test_words_are_found_by_their_beginning_whatever_case_and_accents(
    store: Conversations, log: ConversationLog
) -> None:
    name = store.begin("talk", "x")
    turn(store, name, None, "Onde fica a instalação?", "Em São Paulo.")
    assert [each.role for each in log.search("INSTALA sao")] == []
    assert [each.role for each in log.search("INSTALA onde")] == ["user"]
    assert [each.excerpt for each in log.search("sao")] == ["Em \x02São\x03 Paulo."]
    assert log.search('"; *') == ()


def test_an_answer_that_nobody_writes_any_more_was_interrupted(tmp_path: Path) -> None:
    store = Conversations(tmp_path)
    name = store.begin("talk", "one")
    node = store.ask(name, None, "one")
    store.save(node, "half of it")
    now = ConversationLog(tmp_path)
    assert [each.state for each in now.messages(now.named(name))] == ["whole", "writing"]
    later = ConversationLog(tmp_path, now=lambda: datetime.now(UTC) + LATER)
    assert [each.state for each in later.messages(later.named(name))] == ["whole", "interrupted"]
    assert [each.role for each in later.search("half")] == ["assistant"]
    # Its writer had only been asleep.
    store.finish(name, node, "all of it", "whole", TurnRecord())
    assert later.search("half") == ()
    assert [each.role for each in later.search("all")] == ["assistant"]


def test_what_is_deleted_is_nowhere_in_the_files(
    store: Conversations, log: ConversationLog, tmp_path: Path
) -> None:
    name = store.begin("talk", "xyzzyplugh")
    turn(store, name, None, "xyzzyplugh", "quux " * 2_000 + "frobnicated")
    keep = store.begin("talk", "kept")
    turn(store, keep, None, "kept", "yes")
    log.delete(name)
    left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert [word for word in (b"xyzzyplugh", b"frobnicated", b"quux") if word in left] == []
    assert spoken(store, keep) == [("kept", "yes")]


def test_everything_can_be_deleted(store: Conversations, log: ConversationLog) -> None:
    name = store.begin("talk", "one")
    turn(store, name, None, "one", "1")
    assert log.delete_all() == 1
    assert (log.list(), log.search("one")) == ((), ())


def test_going_on_with_what_has_been_deleted_is_an_error(store: Conversations, log: ConversationLog) -> None:
    name = store.begin("talk", "one")
    node = turn(store, name, None, "one", "1")
    log.delete(name)
    with pytest.raises(ConversationError, match="has been deleted"):
        store.ask(name, node, "two")
    assert log.list() == ()


def test_only_its_user_may_read_the_file(store: Conversations, tmp_path: Path) -> None:
    store.begin("talk", "one")
    modes = {file.name: file.stat().st_mode & 0o077 for file in tmp_path.iterdir()}
    assert CONVERSATIONS_FILE in modes
    assert set(modes.values()) == {0}


def test_reading_makes_no_file(log: ConversationLog, tmp_path: Path) -> None:
    assert (log.list(), log.search("x"), log.delete_all()) == ((), (), 0)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_told(log: ConversationLog, tmp_path: Path) -> None:
    (tmp_path / CONVERSATIONS_FILE).write_bytes(b"no database, " * 100)
    with pytest.raises(ConversationError, match="damaged"):
        log.list()


def test_a_file_of_a_newer_version_is_left_alone(log: ConversationLog, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / CONVERSATIONS_FILE) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(ConversationError, match="newer aivax"):
        log.list()
