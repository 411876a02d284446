"""A chat keeps what is said while it is said, and goes on with it later."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.command_line import Done, aivax
from support.in_process import aivax_here
from support.patience import PATIENT_S
from support.terminal_session import CTRL_C, CTRL_D, ENTER, TerminalSession
from support.upstream import Answer, Request, Upstream, chunk, says, sse, status
from support.workspaces import write_gateway

from aivax_cli.conversations.file import CONVERSATIONS_FILE
from aivax_cli.conversations.log import ConversationLog, KeptMessage
from aivax_cli.conversations.switch import OFF_FILE

PRICES = "pricing: {input: 0.25, output: 2.0}\n"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(says("Paris is the capital.")) as server:
        yield server


@pytest.fixture
def root(tmp_path: Path, upstream: Upstream) -> Path:
    write_gateway(tmp_path, "talk", f"{{base_url: {upstream.url}, name: big}}", more=PRICES)
    return tmp_path


def chat(root: Path, stdin: str, *arguments: str) -> Done:
    return aivax_here("chat", *arguments, cwd=root, stdin=stdin)


def kept(root: Path, *, in_s: float = 0) -> list[list[KeptMessage]]:
    """The messages of every conversation, the latest first, as they will look in some seconds."""
    log = ConversationLog(root / ".aivax", now=lambda: datetime.now(UTC) + timedelta(seconds=in_s))
    try:
        return [list(log.messages(each)) for each in log.list()]
    finally:
        log.close()


def said(messages: list[KeptMessage]) -> list[str]:
    return [message.content for message in messages if message.on_path]


def spoken(request: Request) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in request.body["messages"]]


def stalling(*words: str) -> Answer:
    """Says the words, then nothing more, and does not end."""
    return sse([chunk(f"{word} ") for word in words], end=None, ending="stall")


def started(root: Path, *, stdout: int = subprocess.PIPE) -> "subprocess.Popen[str]":
    """A chat that reads its messages from a pipe."""
    environ = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "aivax_cli", "chat"],
        cwd=root,
        env={**environ, "HOME": str(root), "AIVAX_CACHE_DIR": str(root / "cache")},
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def wait_until(holds: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENT_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENT_S:g} s: {what}"
        time.sleep(0.05)


def test_a_killed_chat_has_kept_what_had_streamed(root: Path, upstream: Upstream) -> None:
    upstream.answers(stalling("Half", "an", "answer"), says("and the rest."))
    process = started(root)
    assert process.stdin
    process.stdin.write("Tell me everything\n")
    process.stdin.flush()
    file = root / ".aivax" / CONVERSATIONS_FILE
    wait_until(lambda: file.exists() and kept(root) and "answer" in said(kept(root)[0])[-1], "the words")
    wait_until(lambda: kept(root)[0][-1].state == "writing", "a sign of life")
    process.kill()
    process.communicate()

    assert said(kept(root)[0]) == ["Tell me everything", "Half an answer "]
    assert kept(root, in_s=10)[0][-1].state == "interrupted"
    assert chat(root, "/continue\n", "-c").code == 0
    assert spoken(upstream.requests[1])[:2] == [
        ("user", "Tell me everything"),
        ("assistant", "Half an answer "),
    ]
    assert said(kept(root)[0]) == ["Tell me everything", "Half an answer and the rest."]


def test_a_question_is_kept_before_anything_is_answered(root: Path, upstream: Upstream) -> None:
    upstream.answers(Answer(status=None, ending="stall"))
    process = started(root)
    assert process.stdin
    process.stdin.write("Anyone there?\n")
    process.stdin.flush()
    file = root / ".aivax" / CONVERSATIONS_FILE
    wait_until(lambda: file.exists() and kept(root) and said(kept(root)[0]), "the question")
    process.kill()
    process.communicate()
    assert said(kept(root)[0]) == ["Anyone there?", ""]


def test_ctrl_c_keeps_the_words_and_continue_goes_on(root: Path, upstream: Upstream) -> None:
    upstream.answers(stalling("Half", "an"), says("answer, whole."), says("Fine."))
    with TerminalSession("chat", cwd=root) as session:
        session.wait_for_prompt()
        session.type(f"Tell me{ENTER}")
        session.wait_for("Half an")
        session.type(CTRL_C)
        session.wait_for("interrupted")
        session.wait_for_prompt()
        assert kept(root)[0][-1].state == "interrupted"
        session.enter("/continue")
        session.wait_for("answer, whole")
        session.enter("/continue")
        assert "error: the last answer came to its end; ask for more in words" in session.lines
        session.enter("Thanks")
    question, partial, order = spoken(upstream.requests[1])
    assert (question, partial) == (("user", "Tell me"), ("assistant", "Half an "))
    assert order[1].startswith("Tell me\n\n")
    assert spoken(upstream.requests[2]) == [
        ("user", "Tell me"),
        ("assistant", "Half an answer, whole."),
        ("user", "Thanks"),
    ]


def test_an_answer_that_was_cut_at_its_length_can_go_on(root: Path, upstream: Upstream) -> None:
    upstream.answers(says("One two", finish="length"), says(" three"))
    chat(root, "Count\n/continue\n")
    assert said(kept(root)[0]) == ["Count", "One two three"]
    assert len(kept(root)[0]) == 3


def test_a_whole_turn_is_on_record(root: Path) -> None:
    chat(root, "What is the capital?\n")
    record = kept(root)[0][-1].record
    assert (record.strategy, record.model, record.finish_reason) == ("Plain", "big", "stop")
    assert [charge.sku for charge in record.charges] == [
        "inference.chat_completions.in",
        "inference.chat_completions.out",
    ]


def test_continue_goes_on_with_the_latest_conversation(root: Path, upstream: Upstream) -> None:
    chat(root, "First question?\n")
    chat(root, "And then?\n", "-c")
    assert spoken(upstream.requests[1]) == [
        ("user", "First question?"),
        ("assistant", "Paris is the capital."),
        ("user", "And then?"),
    ]
    assert len(kept(root)) == 1


def test_continue_takes_the_latest_of_the_gateway_that_is_named(root: Path, upstream: Upstream) -> None:
    write_gateway(root, "other", f"{{base_url: {upstream.url}, name: small}}", number=2)
    chat(root, "To talk\n", "talk")
    chat(root, "To other\n", "other")
    chat(root, "Back to talk\n", "talk", "--continue")
    assert spoken(upstream.requests[-1])[0] == ("user", "To talk")
    # Without a name the latest one says which gateway it is.
    assert chat(root, "More\n", "--continue").code == 0
    assert upstream.bodies[-1]["model"] == "big"


def test_a_conversation_is_named_by_the_beginning_of_its_id(root: Path, upstream: Upstream) -> None:
    chat(root, "First\n")
    name = aivax_here("log", "--json", cwd=root).json["conversations"][0]["id"]
    chat(root, "Second\n")
    chat(root, "Third\n", "--conversation", name)
    assert [text for _, text in spoken(upstream.requests[-1])] == ["First", "Paris is the capital.", "Third"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("-c",), "error: there is no conversation to continue; aivax chat begins one"),
        (("talk", "-c"), "error: there is no conversation with 'talk' to continue; aivax chat begins one"),
        (("--conversation", "12"), "error: no conversation '12'; aivax log lists them"),
        (
            ("-c", "--conversation", "12"),
            "error: --continue and --conversation exclude each other; leave one of them out",
        ),
    ],
)
def test_what_cannot_be_gone_on_with_is_a_usage_error(
    root: Path, arguments: tuple[str, ...], error: str
) -> None:
    done = chat(root, "hello\n", *arguments)
    assert (done.code, done.err.strip()) == (2, error)


def test_undo_retry_and_reset_lose_nothing(root: Path, upstream: Upstream) -> None:
    upstream.answers(says("1"), says("2"), says("2b"), says("3"), says("new"))
    chat(root, "one\ntwo\n/retry\n/undo\nthree\n/reset\nfour\n")
    latest, first = kept(root)
    assert said(latest) == ["four", "new"]
    assert said(first) == ["one", "1", "three", "3"]
    assert {"two", "2", "2b"} <= {message.content for message in first}


def test_a_fork_is_a_conversation_of_its_own(root: Path, upstream: Upstream) -> None:
    upstream.answers(says("1"), says("2"), says("II"))
    done = chat(root, "one\ntwo\n/fork 1\nzwei\n")
    assert [text for _, text in spoken(upstream.requests[-1])] == ["one", "1", "zwei"]
    assert sorted(map(said, kept(root))) == [["one", "1", "two", "2"], ["one", "1", "zwei", "II"]]
    assert "going on after turn 1 in conversation" in done.err


def test_a_compacted_conversation_is_sent_as_its_summary(root: Path, upstream: Upstream) -> None:
    upstream.answers(says("1"), says("2"), says("They counted."), says("3"), says("4"))
    done = chat(root, "one\ntwo\n/compact\nthree\n")
    sent = spoken(upstream.requests[3])
    assert sent[0][1].endswith("They counted.\n</document>\n\ntwo")
    assert [text for _, text in sent[1:]] == ["2", "three"]
    assert "1 turn summarised" in done.err
    assert said(kept(root)[0]) == ["one", "1", "two", "2", "three", "3"]

    chat(root, "four\n", "-c")
    assert "They counted." in spoken(upstream.requests[4])[0][1]
    usage = aivax_here("usage", "--by", "sku", "--json", cwd=root).json["rows"]
    assert {"inference.functions.compact.in", "inference.functions.compact.out"} <= {
        row["key"] for row in usage
    }


def test_a_summary_is_gone_with_the_turns_that_it_stands_for(root: Path, upstream: Upstream) -> None:
    upstream.answers(says("1"), says("2"), says("They counted."), says("eins"), says("II"))
    chat(root, "one\ntwo\n/compact\n/undo\n/undo\nONE\n")
    assert spoken(upstream.requests[-1]) == [("user", "ONE")]


def test_compacting_that_fails_changes_nothing(root: Path, upstream: Upstream) -> None:
    upstream.answers(says("1"), says("2"), status(400, "no"), says("3"))
    done = chat(root, "one\n/compact\ntwo\n/compact\nthree\n")
    assert "error: there is nothing to compact" in done.err
    assert "error: the conversation stays as it is" in done.err
    assert [text for _, text in spoken(upstream.requests[-1])] == ["one", "1", "two", "2", "three"]


def test_ctrl_c_stops_compacting(root: Path, upstream: Upstream) -> None:
    upstream.answers(says("1"), says("2"), stalling("They"), says("3"))
    with TerminalSession("chat", cwd=root) as session:
        session.wait_for_prompt()
        session.enter("one").enter("two").type(f"/compact{ENTER}")
        wait_until(lambda: len(upstream.requests) == 3, "the request for a summary")
        session.type(CTRL_C)
        session.wait_for("interrupted")
        session.wait_for_prompt()
        session.enter("three")
    assert [text for _, text in spoken(upstream.requests[-1])] == ["one", "1", "two", "2", "three"]


def test_attached_files_are_there_in_the_next_session(root: Path, upstream: Upstream) -> None:
    (root / "note.txt").write_text("The word is plover.")
    chat(root, "/attach note.txt\nWhat is the word?\n")
    (root / "note.txt").unlink()
    chat(root, "Again?\n", "-c")
    assert "The word is plover." in spoken(upstream.requests[-1])[0][1]


def test_two_chats_at_once_lose_nothing(root: Path) -> None:
    chat(root, "first\n")

    def talk(who: str) -> Done:
        return aivax("chat", "-c", cwd=root, home=root, stdin=f"{who}1\n{who}2\n")

    with ThreadPoolExecutor() as pool:
        for done in pool.map(talk, "ab"):
            assert (done.code, "not kept" in done.err) == (0, False)
    asked = [message.content for message in kept(root)[0] if message.role == "user"]
    assert sorted(asked) == ["a1", "a2", "b1", "b2", "first"]


def test_nothing_is_kept_while_the_log_is_off(root: Path, upstream: Upstream) -> None:
    aivax_here("log", "off", cwd=root)
    done = chat(root, "private\n")
    assert done.out == "Paris is the capital.\n"
    assert "this conversation is not kept" in done.err
    assert not (root / ".aivax" / CONVERSATIONS_FILE).exists()
    aivax_here("log", "on", cwd=root)
    chat(root, "public\n")
    assert [said(each)[0] for each in kept(root)] == ["public"]


def test_a_running_chat_obeys_the_switch(root: Path) -> None:
    off = root / ".aivax" / OFF_FILE
    process = started(root)
    assert process.stdin and process.stdout
    process.stdin.write("public\n")
    assert process.stdout.readline() == "Paris is the capital.\n"
    off.touch()
    process.stdin.write("private\n")
    assert process.stdout.readline() == "Paris is the capital.\n"
    off.unlink()
    out, err = process.communicate("public again\n")
    assert out == "Paris is the capital.\n"
    assert err.count("this conversation is not kept") == 1
    answer = "Paris is the capital."
    assert said(kept(root)[0]) == ["public", answer, "public again", answer]


@pytest.mark.parametrize("broken", ["folder", "garbage"])
def test_a_chat_goes_on_without_a_log_and_says_so_once(root: Path, broken: str) -> None:
    file = root / ".aivax" / CONVERSATIONS_FILE
    file.parent.mkdir()
    if broken == "folder":
        file.mkdir()
    else:
        file.write_text("no database, " * 100)
    done = chat(root, "one\ntwo\n")
    assert (done.code, done.out) == (0, "Paris is the capital.\n" * 2)
    assert len([line for line in done.err.splitlines() if "is not kept" in line]) == 1


def test_what_could_not_be_kept_is_kept_with_the_next_turn(root: Path) -> None:
    file = root / ".aivax" / CONVERSATIONS_FILE
    file.mkdir(parents=True)
    process = started(root)
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write("one\n")
    assert process.stdout.readline() == "Paris is the capital.\n"
    assert any("is not kept" in line for line in process.stderr)
    file.rmdir()
    process.communicate("two\n")
    assert said(kept(root)[0]) == ["one", "Paris is the capital.", "two", "Paris is the capital."]


def test_what_is_typed_is_remembered_nowhere_while_the_log_is_off(root: Path) -> None:
    aivax_here("log", "off", cwd=root)
    with TerminalSession("chat", cwd=root) as session:
        session.wait_for("this conversation is not kept")
        session.wait_for_prompt()
        session.enter("a private question")
    files = [file for file in (root / ".aivax").iterdir() if b"private question" in file.read_bytes()]
    assert files == []


def test_an_end_that_could_not_be_kept_is_kept_with_the_next_turn(root: Path, upstream: Upstream) -> None:
    upstream.answers(says("word " * 30_000), says("Short."))
    process = started(root, stdout=subprocess.DEVNULL)
    assert process.stdin and process.stderr
    # No file may grow longer: the disk is full.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))
    process.stdin.write("Much, please\n")
    assert any("is not kept" in line for line in process.stderr)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    process.communicate("And little\n")
    messages = kept(root)[0]
    assert [len(text) > 100_000 for text in said(messages)] == [False, True, False, False]
    assert len(messages) == 4


def test_a_key_that_the_gateway_uses_is_not_in_the_log(
    root: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "very-secret-value")
    write_gateway(root, "talk", f"{{base_url: {upstream.url}, name: big, api_key_env: SECRET_KEY}}")
    chat(root, "hello\n")
    assert upstream.requests[0].headers["authorization"] == "Bearer very-secret-value"
    files = [file.read_bytes() for file in (root / ".aivax").iterdir() if file.is_file()]
    assert not [file for file in files if b"very-secret-value" in file]


def test_a_person_sees_which_conversation_goes_on(root: Path) -> None:
    chat(root, "What is the capital of France?\n/title Capitals\n")
    with TerminalSession("chat", "-c", cwd=root) as session:
        session.wait_for_prompt()
        session.wait_for(r"conversation [0-9a-f]{8} · Capitals · 1 turn")
        session.wait_for(r"last: What is the capital of France\?")
        session.enter("/help")
        for name in ("/continue", "/fork [N]", "/title [TEXT]", "/compact"):
            assert any(line.startswith(name) for line in session.lines)
        session.enter("/title")
        session.enter("/cost")
        session.wait_for(r"this chat so far: \$0\.00001\d*")
        session.type(CTRL_D)
        assert session.wait_for_end() == 0


def test_saving_a_conversation_of_an_earlier_session_saves_all_of_it(root: Path) -> None:
    chat(root, "one\n")
    chat(root, "two\n/save talk.json\n/why\n", "-c")
    turns = json.loads((root / "talk.json").read_text())["turns"]
    assert [(each["question"], each["text"]) for each in turns] == [
        ("one", "Paris is the capital."),
        ("two", "Paris is the capital."),
    ]
