"""What a person can put into a chat's prompt, in a pseudo-terminal, against a real endpoint on loopback."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from support.in_process import aivax_here
from support.terminal_session import CTRL_C, ENTER, TAB, UP, TerminalSession, pasted
from support.upstream import Upstream, says
from support.workspaces import write_gateway

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40
CTRL_J, CTRL_R, CTRL_U = "\n", "\x12", "\x15"
CTRL_X_CTRL_E = "\x18\x05"
ANSWER = "Paris.\n\n```sh\nls -l\n```\n\n```py\nprint(1)\n```"
EDITOR = """import pathlib, sys
file = pathlib.Path(sys.argv[1])
file.write_text(file.read_text() + "from the editor\\n")
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(says(ANSWER, prompt=1_000)) as server:
        yield server


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Path:
    root = tmp_path_factory.mktemp("input")
    model = f"{{base_url: {upstream.url}, name: big}}"
    write_gateway(
        root, "talk", model, more="pricing: {input: 0.25, output: 2.0}\ncontext: {max_tokens: 10000}\n"
    )
    knowledge = "knowledge: {collections: [handbook], strategy: UserRewrite}\n"
    write_gateway(root, "support", model, number=2, more=knowledge)
    (root / "my notes.md").write_text("The library opens at nine.")
    (root / "docs").mkdir()
    (root / "docs" / "b.md").write_text("It closes at six.")
    (root / "editor.py").write_text(EDITOR)
    for name in ("plan.png", "my plan.png"):
        (root / name).write_bytes(PNG)
    return root


@pytest.fixture(scope="module")
def session(root: Path) -> Iterator[TerminalSession]:
    """One chat for all: each test begins a conversation of its own in it."""
    editor = f"'{sys.executable}' '{root / 'editor.py'}'"
    with TerminalSession("chat", "talk", cwd=root, columns=200, env={"EDITOR": editor}) as session:
        session.wait_for_prompt()
        yield session


def to_next_prompt(session: TerminalSession, key: str) -> None:
    prompts = session.text.count("›")
    session.type(key)
    session.wait_for("›", count=prompts + 1)
    session.wait_for_prompt()


@pytest.fixture
def chat(session: TerminalSession) -> TerminalSession:
    to_next_prompt(session, CTRL_C)
    session.enter("/reset")
    return session


Said = Callable[..., list[str]]


@pytest.fixture
def said(chat: TerminalSession) -> Said:
    """Enters a line, and gives the lines that the chat answered."""

    def enter(text: str) -> list[str]:
        chat.enter(text)
        lines = chat.lines
        place = max(place for place, line in enumerate(lines) if f"› {text}"[:100] in line)
        return [line for line in takewhile(lambda line: "›" not in line, lines[place + 1 :]) if line]

    return enter


def last_message(upstream: Upstream) -> Any:
    return upstream.requests[-1].body["messages"][-1]["content"]


def images_sent(upstream: Upstream) -> int:
    content = last_message(upstream)
    return 0 if isinstance(content, str) else sum(part["type"] == "image_url" for part in content)


def question_sent(upstream: Upstream) -> str:
    content = last_message(upstream)
    return content if isinstance(content, str) else content[0]["text"]


def test_a_file_is_attached_and_asked_about_at_once(said: Said, upstream: Upstream) -> None:
    told = said("/file my notes.md docs/b.md -- When does it open?")
    assert told[:2] == ["my notes.md: 26 characters of text", "docs/b.md: 17 characters of text"]
    sent = question_sent(upstream)
    assert "The library opens at nine." in sent
    assert "It closes at six." in sent
    assert sent.endswith("\n\nWhen does it open?")


def test_without_a_question_a_file_waits_for_the_next_message(said: Said, upstream: Upstream) -> None:
    asked = len(upstream.requests)
    told = said("/file 'my notes.md'")
    assert told[-1] == "goes with the next message; /attach clear takes it away"
    assert len(upstream.requests) == asked
    said("When?")
    assert "The library opens at nine." in question_sent(upstream)


def test_a_missing_file_asks_nothing_and_attaches_nothing(said: Said, upstream: Upstream) -> None:
    asked = len(upstream.requests)
    told = said("/file docs/b.md missing.md -- When?")
    assert told == ["error: no such file: missing.md; attach a file that is there"]
    assert len(upstream.requests) == asked
    assert said("/attach") == ["nothing is attached"]
    assert said("/file -- When?") == [
        "error: there is no file to attach; write /file PATH -- and the question about it"
    ]


def test_two_per_cent_signs_stand_for_the_last_answer(said: Said, upstream: Upstream) -> None:
    told = said("Translate: %%")
    assert told[0].startswith("error: there is no answer yet that %% could stand for; ask something first")
    said("What is the capital?")
    assert said("Translate: %%")[0] == f"%% is the last answer: {len(ANSWER)} characters"
    assert question_sent(upstream) == f"Translate: {ANSWER}"
    said("%%%% is not 100%% of %%time")
    assert question_sent(upstream) == "%% is not 100%% of %%time"
    said("/file %% -- Is it right?")
    assert '<document name="answer.md">\nParis.' in question_sent(upstream)


def test_the_answer_and_its_code_are_copied(said: Said, chat: TerminalSession) -> None:
    assert said("/copy") == ["error: nothing has been asked yet"]
    said("What is the capital?")
    for command, text, note in [
        ("/copy", ANSWER, f"copied the answer: {len(ANSWER)} characters"),
        ("/copy 1", "ls -l", "copied code block 1: 5 characters"),
        ("/copy code", "print(1)", "copied code block 2: 8 characters"),
    ]:
        assert said(command) == [note]
        sequences = re.findall(rb"\x1b\]52;c;([^\x07]*)\x07", chat.raw)
        assert base64.b64decode(sequences[-1]).decode() == text
    assert said("/copy 3") == ["error: there is no code block '3'; choose 1 to 2, or code for the last"]


def test_a_script_has_no_clipboard_no_editor_and_sends_no_images(root: Path, upstream: Upstream) -> None:
    lines = ["Hello?", "/copy", "/edit", f"{root / 'plan.png'} what is it?"]
    done = aivax_here("chat", "talk", cwd=root, stdin="\n".join(lines))
    assert "error: there is no terminal that has a clipboard; /save writes the conversation" in done.err
    assert "error: there is no terminal for an editor" in done.err
    assert question_sent(upstream) == f"{root / 'plan.png'} what is it?"
    assert images_sent(upstream) == 0


def test_the_editor_gives_the_prompt_its_text(chat: TerminalSession, upstream: Upstream) -> None:
    chat.type(f"a draft{CTRL_X_CTRL_E}")
    chat.wait_for("› a draft\n +from the editor")
    chat.type(" and more")
    to_next_prompt(chat, ENTER)
    assert question_sent(upstream) == "a draft\nfrom the editor and more"
    chat.type(f"/edit begun here{ENTER}")
    chat.wait_for("› begun here\n +from the editor")
    to_next_prompt(chat, ENTER)
    assert question_sent(upstream) == "begun here\nfrom the editor"


def test_ctrl_j_starts_a_new_line(chat: TerminalSession, upstream: Upstream) -> None:
    chat.type("one")
    chat.wait_for("› one")
    chat.type(CTRL_J)
    chat.wait_for(r"› one\n *\n")
    chat.type(f"two{CTRL_J}{CTRL_J}three")
    chat.wait_for("three")
    to_next_prompt(chat, ENTER)
    assert question_sent(upstream) == "one\ntwo\n\nthree"


def test_a_line_that_a_program_sends_ends_with_a_line_feed(chat: TerminalSession, upstream: Upstream) -> None:
    """As `sendline` of expect does it; what was typed before there was a prompt looks the same."""
    to_next_prompt(chat, "a line\n")
    assert question_sent(upstream) == "a line"


def test_ctrl_c_in_an_editor_that_leaves_it_to_the_terminal_loses_no_word(
    root: Path, upstream: Upstream
) -> None:
    editor = "sh -c 'stty sane; echo IT RUNS; sleep 600'"
    with TerminalSession("chat", "talk", cwd=root, env={"VISUAL": editor}) as chat:
        chat.wait_for_prompt()
        chat.type(f"a draft{CTRL_X_CTRL_E}")
        chat.wait_for("IT RUNS")
        chat.type(CTRL_C)
        chat.wait_for("error: the editor 'sh' failed; the message is as it was")
        chat.wait_for_prompt()
        to_next_prompt(chat, ENTER)
    assert question_sent(upstream) == "a draft"


@pytest.mark.parametrize("written", ["'{}/my plan.png'", "file://{}/my%20plan.png", "{}/my plan.png"])
def test_a_dropped_image_goes_with_the_next_message(
    said: Said, chat: TerminalSession, root: Path, upstream: Upstream, written: str
) -> None:
    chat.type(pasted(written.format(root)))
    chat.wait_for("my plan|my%20plan")
    to_next_prompt(chat, ENTER)
    assert said("/attach")[0] == f"{root / 'my plan.png'}: an image"
    said("What is it?")
    assert (question_sent(upstream), images_sent(upstream)) == ("What is it?", 1)


def test_images_in_a_message_go_with_its_other_words(said: Said, root: Path, upstream: Upstream) -> None:
    told = said(f"How does {root}/plan.png differ? {root}/my\\ plan.png")
    assert told[2] == "/undo takes it back"
    assert (question_sent(upstream), images_sent(upstream)) == ("How does plan.png differ?", 2)
    said(f"Is {root}/docs/b.md an image?")
    assert question_sent(upstream) == f"Is {root}/docs/b.md an image?"


def test_up_finds_what_began_alike_and_ctrl_r_what_held_the_word(
    said: Said, chat: TerminalSession, upstream: Upstream
) -> None:
    for question in ("whereto with zebras?", "another one", "wherefore?"):
        said(question)
    chat.type(f"where{UP}")
    chat.wait_for("› wherefore[?]", count=2)
    chat.type(UP)
    chat.wait_for("› whereto with zebras", count=2)
    to_next_prompt(chat, CTRL_C)
    chat.type(f"{CTRL_R}anoth")
    chat.wait_for("I-search backward: anoth")
    chat.type(ENTER)
    chat.wait_for("› another one\n", count=2)
    asked = len(upstream.requests)
    to_next_prompt(chat, ENTER)
    assert len(upstream.requests) == asked + 1
    assert question_sent(upstream) == "another one"


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("/gat", "/gateway"),
        ("/gateway sup", "/gateway support"),
        ("/file my", r"/file my\\ notes\.md"),
        ("/attach do", "/attach docs/"),
        ("/save docs/b", r"/save docs/b\.md"),
        ("/set strat", "/set knowledge.strategy="),
        ("/set knowledge.strategy=user", "/set knowledge.strategy=UserRewrite"),
        ("/set overflow=e", "/set overflow=error"),
    ],
)
def test_tab_completes(chat: TerminalSession, typed: str, completed: str) -> None:
    chat.type(typed)
    chat.wait_for(re.escape(typed))
    chat.type(TAB)
    chat.wait_for(f"› {completed}")


def test_another_gateway_takes_over_the_conversation(said: Said, upstream: Upstream) -> None:
    said("First?")
    assert said("/gateway") == ["talk; there are support, talk"]
    assert said("/gateway supprt")[0].startswith("error: no gateway named 'supprt'")
    assert said("/gateway support") == ["support answers from now on, as its file says"]
    assert said("/strategy")[0].startswith("UserRewrite; ")
    said("/gateway talk")


def test_the_line_below_shows_who_answers_and_what_it_has_cost(chat: TerminalSession) -> None:
    chat.enter("How much?")
    chat.type("x")
    chat.wait_for(r"(?m)^\d+% › x")
    below = r"talk · big · \$0\.\d+"
    chat.read_until(lambda: re.fullmatch(below, chat.screen.display[-1].rstrip()) is not None)
    chat.type(CTRL_U)
    chat.enter("/gateway support")
    chat.resize(36, 40)
    chat.type("y")
    chat.wait_for(r"(?m)^support · UserRewrite · \$0\.\d+$")
    chat.resize(120, 40)
    chat.type(CTRL_U)
    chat.enter("/gateway talk")
