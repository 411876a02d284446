"""`aivax log`: what has been kept is listed, shown, searched, exported and deleted."""

import json
from pathlib import Path

import pytest
from support.in_process import aivax_here
from support.workspaces import write_gateway

from aivax_cli.conversations.records import TurnRecord
from aivax_cli.conversations.store import Conversations
from aivax_cli.core.types import Charge, Passage, Source

PASSAGE = Passage("p1", "not kept", Source("docs", "docs/a.md", "Capitals", 12, 30), 0.53, 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_gateway(tmp_path, "talk", "{base_url: 'http://127.0.0.1:9/v1', name: big}")
    store = Conversations(tmp_path / ".aivax")
    name = store.begin("talk", "What is the capital? Write to ana@example.com")
    first = store.ask(name, None, "What is the capital? Write to ana@example.com")
    record = TurnRecord("Plain", ("capital",), (PASSAGE,), (Charge("x.in", 10, None, "words"),), "@local/m")
    store.finish(name, first, "It is **Paris**.", "whole", record)
    second = store.ask(name, first, "Really?")
    store.finish(name, second, "I thi", "interrupted", TurnRecord(model="@local/m"))
    other = store.begin("other", "Quem descobriu o Brasil?")
    store.ask(other, None, "Quem descobriu o Brasil?")
    store.close()
    return tmp_path


def listed(root: Path, *arguments: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = aivax_here("log", "--json", *arguments, cwd=root).json["conversations"]
    return found


def capital(root: Path) -> str:
    return str(listed(root, "--gateway", "talk")[0]["id"])


def test_conversations_are_listed_the_latest_first(root: Path) -> None:
    assert [(each["gateway"], each["turns"]) for each in listed(root)] == [("other", 1), ("talk", 2)]
    assert len(listed(root, "--limit", "1")) == 1
    lines = aivax_here("log", cwd=root).out.splitlines()
    row = next(line for line in lines if capital(root) in line)
    assert "What is the capital?" in row
    assert row.rstrip().endswith("unpriced")


def test_an_empty_log_says_so(tmp_path: Path) -> None:
    write_gateway(tmp_path, "talk", "'@local/m'")
    done = aivax_here("log", cwd=tmp_path)
    assert (done.code, done.out, done.err) == (0, "", "no conversation has been kept yet\n")


def test_show_is_the_conversation_as_markdown(root: Path) -> None:
    out = aivax_here("log", "show", capital(root)[:6], cwd=root).out
    assert "## You\n\nWhat is the capital?" in out
    assert "## talk (@local/m)\n\nIt is **Paris**.\n\n- [1] `docs/a.md:12-30`, Capitals (0.53)\n" in out
    assert out.endswith("## talk (@local/m)\n\nI thi\n\n*(interrupted)*\n")


@pytest.mark.parametrize("form", [("export", "--format", "json"), ("show", "--json")])
def test_json_has_the_whole_tree(root: Path, form: tuple[str, ...]) -> None:
    done = aivax_here("log", form[0], capital(root), *form[1:], cwd=root)
    messages = done.json["messages"]
    assert [(each["role"], each["parent"]) for each in messages] == [
        ("user", None),
        ("assistant", messages[0]["id"]),
        ("user", messages[1]["id"]),
        ("assistant", messages[2]["id"]),
    ]
    assert messages[1]["sources"][0]["lines"] == [12, 30]
    assert (messages[3]["state"], messages[3]["incomplete"]) == ("interrupted", "interrupted")


def test_words_are_searched(root: Path) -> None:
    found = aivax_here("log", "search", "descobriu", "BRAS", "--json", cwd=root).json["messages"]
    assert [(each["gateway"], each["role"]) for each in found] == [("other", "user")]
    assert "Paris" in aivax_here("log", "search", "paris", cwd=root).out
    nothing = aivax_here("log", "search", "paris", "--gateway", "other", cwd=root)
    assert (nothing.code, nothing.out) == (0, "")


def test_what_looks_private_is_masked_everywhere(root: Path) -> None:
    name = capital(root)
    for command in (
        ["log", "list"],
        ["log", "show", name],
        ["log", "search", "write"],
        ["log", "export", name],
        ["log", "export", name, "--format", "json"],
    ):
        assert "ana@example.com" in aivax_here(*command, cwd=root).out
        masked = aivax_here(*command, "--redact", cwd=root).out
        assert ("ana@example.com" in masked, "[e-mail]" in masked) == (False, True)


def test_deleting_wants_to_be_told_twice(root: Path) -> None:
    name = capital(root)
    done = aivax_here("log", "delete", name, cwd=root)
    assert (done.code, "add --yes" in done.err) == (2, True)
    assert aivax_here("log", "delete", name, "--yes", cwd=root).code == 0
    assert [each["gateway"] for each in listed(root)] == ["other"]
    assert aivax_here("log", "delete", "--all", "--yes", "--json", cwd=root).json == {"deleted": 1}
    assert listed(root) == []


@pytest.mark.parametrize("arguments", [(), ("abc", "--all")])
def test_what_to_delete_must_be_said(root: Path, arguments: tuple[str, ...]) -> None:
    done = aivax_here("log", "delete", *arguments, "--yes", cwd=root)
    assert (done.code, "name one conversation, or --all" in done.err) == (2, True)


def test_an_unknown_id_is_a_usage_error(root: Path) -> None:
    for command in ("show", "export"):
        done = aivax_here("log", command, "zzz", cwd=root)
        assert (done.code, done.err) == (2, "error: no conversation 'zzz'; aivax log lists them\n")


def test_the_log_is_switched_off_and_on(root: Path) -> None:
    assert aivax_here("log", "off", "--json", cwd=root).json == {"keeping": False}
    assert "nothing is kept at present" in aivax_here("log", cwd=root).err
    assert len(listed(root)) == 2
    aivax_here("log", "on", cwd=root)
    assert "nothing is kept" not in aivax_here("log", cwd=root).err


def test_a_broken_log_is_an_error_of_one_line(root: Path) -> None:
    (root / ".aivax" / "conversations.db").write_text("no database, " * 100)
    for side in (root / ".aivax").glob("conversations.db-*"):
        side.unlink()
    done = aivax_here("log", cwd=root)
    assert done.code == 1
    assert "damaged" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_table_fits_whatever_is_in_a_title(root: Path) -> None:
    store = Conversations(root / ".aivax")
    store.rename(capital(root), "\x1b[2J[bold]" + "w" * 300)
    store.close()
    out = aivax_here("log", cwd=root).out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 200
    assert json.dumps(listed(root))
