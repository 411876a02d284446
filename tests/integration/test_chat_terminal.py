"""`aivax chat` in a pseudo-terminal, against a real endpoint on loopback."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.patience import PATIENT_S, best
from support.terminal_session import (
    ALT_ENTER,
    CTRL_C,
    CTRL_D,
    ENTER,
    TAB,
    UP,
    TerminalSession,
    pasted,
)
from support.upstream import Answer, Request, Upstream, chunk, says, silence, sse, status
from support.workspaces import write_gateway

Start = Callable[..., TerminalSession]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(says("Paris is the capital.")) as server:
        yield server


@pytest.fixture
def start(tmp_path: Path, upstream: Upstream) -> Iterator[Start]:
    """Starts a chat and waits for its prompt."""
    write_gateway(
        tmp_path,
        "talk",
        f"{{base_url: {upstream.url}, name: big}}",
        more="pricing: {input: 0.25, cached_input: 0.025, output: 2.0}\n",
    )
    sessions: list[TerminalSession] = []

    def begin(*arguments: str, **options: Any) -> TerminalSession:
        session = TerminalSession("chat", *arguments, cwd=tmp_path, **options)
        sessions.append(session)
        session.wait_for("›")
        session.wait_for_prompt()
        return session

    yield begin
    for session in sessions:
        session.end()


def stalling(*words: str) -> Answer:
    """Says the words, then nothing more, and does not end."""
    return sse([chunk(f"{word} ") for word in words], end=None, ending="stall")


def spoken(request: Request) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in request.body["messages"]]


def test_an_answer_is_rendered_and_closed_by_one_line(start: Start, upstream: Upstream) -> None:
    upstream.answers(says("It is **Paris**, says `x`.", prompt=1204, cached=204))
    chat = start().enter("What is the capital of France?")
    assert "It is Paris, says x." in chat.lines
    assert re.search(r"1,000 in · 204 cached · 5 out · \$0\.00026\d* · first token .* tokens/s", chat.text)


def test_the_history_is_kept_across_turns(start: Start, upstream: Upstream) -> None:
    chat = start().enter("First question?")
    chat.enter("And the second?")
    assert spoken(upstream.requests[1]) == [
        ("user", "First question?"),
        ("assistant", "Paris is the capital."),
        ("user", "And the second?"),
    ]


def test_ctrl_c_stops_an_answer_and_keeps_what_came(start: Start, upstream: Upstream) -> None:
    upstream.answers(stalling("Half", "an", "answer"), says("Whole."))
    chat = start().type(f"Tell me{ENTER}")
    chat.wait_for("Half an answer")
    chat.type(CTRL_C)
    chat.wait_for(r"interrupted · .*~\d+ out · ~\$")
    chat.wait_for_prompt()
    assert upstream.disconnected.wait(PATIENT_S)
    chat.enter("Go on")
    assert spoken(upstream.requests[1]) == [
        ("user", "Tell me"),
        ("assistant", "Half an answer "),
        ("user", "Go on"),
    ]


def test_ctrl_c_while_waiting_returns_to_the_prompt(start: Start, upstream: Upstream) -> None:
    upstream.answers(silence(), says("Whole."))
    chat = start().type(f"Anyone there?{ENTER}")
    chat.wait_for("waiting|thinking")
    chat.read_until(lambda: bool(upstream.requests))
    chat.type(CTRL_C)
    chat.wait_for("interrupted")
    chat.wait_for_prompt()
    assert "…" not in chat.text
    chat.enter("Hello?")
    assert spoken(upstream.requests[-1]) == [("user", "Hello?")]


def test_ctrl_c_brings_the_prompt_back_at_once(start: Start, upstream: Upstream) -> None:
    upstream.answers(stalling("Half"))
    chat = start()

    def interrupted_s() -> float:
        count = chat.text.count("interrupted") + 1
        chat.type(f"Question {count}{ENTER}")
        chat.wait_for("Half", count=count)
        chat.type(CTRL_C)
        took_s = chat.wait_for("interrupted", count=count)
        chat.wait_for_prompt()
        return took_s

    interrupted_s()  # loads the tables that count tokens
    assert best(interrupted_s, 1.0) < 1.0


def test_ctrl_c_pressed_too_often_does_not_end_the_chat(start: Start, upstream: Upstream) -> None:
    upstream.answers(stalling("Half"), says("Whole."))
    chat = start().type(f"One{ENTER}")
    chat.wait_for("Half")
    for _ in range(12):
        chat.type(CTRL_C)
        time.sleep(0.03)
    chat.wait_for("interrupted")
    chat.wait_for_prompt()
    chat.enter("Still there?")
    assert "Whole." in chat.lines


def test_ctrl_c_at_the_prompt_says_how_to_leave(start: Start) -> None:
    chat = start().type(CTRL_C)
    chat.wait_for("Ctrl-D or /exit leaves")
    chat.enter("still here")


@pytest.mark.parametrize("leave", [CTRL_D, f"/exit{ENTER}"], ids=["ctrl-d", "exit"])
def test_leaving_is_no_error(start: Start, leave: str) -> None:
    chat = start()
    assert chat.type(leave).wait_for_end() == 0


def test_an_error_is_one_line_and_the_question_can_be_asked_again(start: Start, upstream: Upstream) -> None:
    upstream.answers(status(401, "bad key"), says("Now it works."))
    chat = start().enter("Will it work?")
    assert len([line for line in chat.lines if line.startswith("error:")]) == 1
    assert "Traceback" not in chat.text
    chat.enter("/retry")
    assert "Now it works." in chat.lines
    assert spoken(upstream.requests[1]) == [("user", "Will it work?")]


def test_a_broken_stream_keeps_its_text_and_says_so(start: Start, upstream: Upstream) -> None:
    upstream.answers(sse([chunk("Half a "), chunk("sentence")], end=None, ending="reset"))
    chat = start().enter("Go")
    assert "Half a sentence" in chat.text
    assert re.search("^incomplete · ", chat.text, re.MULTILINE)


def test_a_retry_is_visible(start: Start, upstream: Upstream) -> None:
    upstream.answers(status(503, retry_after=0.3), says("Back again."))
    chat = start().enter("Hello")
    assert "attempt 2" in chat.text
    assert "Back again." in chat.lines


def test_a_pasted_block_stays_one_message(start: Start, upstream: Upstream) -> None:
    chat = start()
    chat.type(pasted("def f():\n    return 1\n\nwhat is this?"))
    chat.wait_for("what is this")
    chat.type(ENTER)
    chat.wait_for("tokens/s")
    assert spoken(upstream.requests[-1]) == [("user", "def f():\n    return 1\n\nwhat is this?")]


def test_alt_enter_starts_a_new_line(start: Start, upstream: Upstream) -> None:
    chat = start().type(f"one{ALT_ENTER}two{ENTER}")
    chat.wait_for("tokens/s")
    assert spoken(upstream.requests[-1]) == [("user", "one\ntwo")]


def test_what_is_typed_during_an_answer_goes_to_the_next_prompt(start: Start, upstream: Upstream) -> None:
    upstream.answers(sse([chunk(f"word{n} ") for n in range(20)], pause_s=0.05), says("Second."))
    chat = start().type(f"First{ENTER}")
    chat.wait_for("word3")
    chat.type(f"typed ahead{ENTER}")
    chat.wait_for("Second.")
    assert " ".join(f"word{n}" for n in range(20)) in " ".join(chat.lines)
    assert spoken(upstream.requests[-1])[-1] == ("user", "typed ahead")


def test_input_is_remembered_by_the_next_chat(start: Start, tmp_path: Path, upstream: Upstream) -> None:
    chat = start().enter("remember this")
    chat.type(CTRL_D)
    chat.wait_for_end()
    again = start().type(UP)
    again.wait_for("› remember this")
    assert (tmp_path / ".aivax" / "chat_history").stat().st_mode & 0o077 == 0


def test_commands_and_strategies_are_completed(start: Start) -> None:
    chat = start().type("/und")
    chat.wait_for("/undo")
    chat.type(TAB)
    chat.wait_for("› /undo")
    chat.type(f"\x15/set know{TAB}")
    chat.wait_for(r"knowledge\.strategy=")


def test_help_lists_every_command(start: Start) -> None:
    chat = start().enter("/help")
    listed = {line.split()[0] for line in chat.lines if re.match(r"/\w+ {2,}|/\w+ [A-Z[]", line)}
    named = "/help /exit /reset /undo /retry /search /sources /why /cost /strategy /model /set /save"
    assert listed >= set(named.split(" "))


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("/modle x", "error: no command '/modle'; did you mean '/model'?"),
        ("/set temperature=9", "error: parameters.temperature: must be between 0 and 2, not 9"),
        ("/set temprature=1", "error: no field named 'temprature'; did you mean 'temperature'?"),
        ("/model @opnai/x", "error: no provider named 'opnai'; did you mean 'openai'?"),
        ("/undo", "error: nothing has been asked yet"),
        ("/save", "error: there is no file to save to; write /save and a name, like talk.md or talk.json"),
        ("/search", "error: there is nothing to search; write /search and the words to look for"),
        (
            "/strategy Plain",
            "error: gateway 'talk' searches nothing; name collections under knowledge.collections",
        ),
    ],
)
def test_a_command_that_cannot_be_done_says_why(commanded: TerminalSession, typed: str, line: str) -> None:
    commanded.enter(typed)
    assert line in commanded.lines


@pytest.fixture(scope="module")
def commanded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TerminalSession]:
    """One chat for commands that change nothing."""
    root = tmp_path_factory.mktemp("commanded")
    write_gateway(root, "talk", "{base_url: 'http://127.0.0.1:9/v1', name: big}")
    with TerminalSession("chat", cwd=root) as session:
        session.wait_for_prompt()
        yield session


def test_a_message_may_begin_with_a_slash(start: Start, upstream: Upstream) -> None:
    chat = start().enter("/etc/passwd is what?")
    chat.enter("//help me")
    assert [spoken(request)[-1][1] for request in upstream.requests] == ["/etc/passwd is what?", "/help me"]


def test_undo_and_reset_forget(start: Start, upstream: Upstream) -> None:
    chat = start().enter("one").enter("two").enter("/undo").enter("three")
    assert [text for _, text in spoken(upstream.requests[-1])] == ["one", "Paris is the capital.", "three"]
    chat.enter("/reset").enter("four")
    assert spoken(upstream.requests[-1]) == [("user", "four")]


def test_set_changes_what_is_sent_and_not_the_file(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    before = (tmp_path / "gateways" / "talk.yaml").read_text()
    start().enter("/set temperature=0.2").enter("parameters, please")
    assert upstream.bodies[-1]["temperature"] == 0.2
    assert (tmp_path / "gateways" / "talk.yaml").read_text() == before


def test_cost_shows_the_table_and_the_sum_of_the_chat(start: Start, upstream: Upstream) -> None:
    upstream.answers(says("One two.", prompt=100))
    chat = start().enter("one").enter("two").enter("/cost")
    assert re.search(r"inference\.chat_completions\.in\s+100\s+\$0\.25 / 1M\s+\$0\.000025", chat.text)
    assert re.search(r"^total\s+\$0\.000029$", chat.text, re.MULTILINE)
    assert "this chat so far: $0.000058" in chat.lines


def test_why_shows_what_was_sent(start: Start) -> None:
    chat = start().enter("Why, though?").enter("/why")
    sent = chat.lines[chat.lines.index("Sent  1 message") :]
    assert sent[1:3] == ["[user]", "Why, though?"]


def test_a_conversation_is_saved_and_no_file_overwritten_unasked(start: Start, tmp_path: Path) -> None:
    chat = start().enter("What is it?").enter("/save talk.md")
    saved = (tmp_path / "talk.md").read_text()
    assert "## You\n\nWhat is it?\n\n## talk (test-model)\n\nParis is the capital.\n" in saved
    chat.enter("/save talk.md")
    assert "error: talk.md exists; /save! talk.md overwrites it" in chat.lines
    chat.enter("/save! talk.md").enter("/save talk.json")
    assert "saved 1 turn to talk.json" in chat.lines


@pytest.mark.parametrize(("columns", "rows"), [(40, 24), (140, 20)])
def test_resizing_during_an_answer_loses_nothing(
    start: Start, upstream: Upstream, columns: int, rows: int
) -> None:
    upstream.answers(sse([chunk(f"w{n} ") for n in range(60)], pause_s=0.02))
    chat = start(columns=80).type(f"Go{ENTER}")
    chat.wait_for("w20 ")
    chat.resize(columns, rows)
    chat.wait_for("w59")
    chat.wait_for_prompt()
    assert [int(n) for n in re.findall(r"\bw(\d+)\b", chat.text)][-60:] == list(range(60))


def test_hostile_answers_do_nothing_to_the_terminal(start: Start, upstream: Upstream) -> None:
    upstream.answers(says("before \x1b[2J\x1b]0;owned\x07 after"))
    chat = start().enter("Go")
    assert chat.screen.title == ""
    assert any(line.startswith("before") and line.endswith("after") for line in chat.lines)
