"""What a chat in a terminal must bear: much text, strange text, little room, and its own death."""

from __future__ import annotations

import io
import re
import signal
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from rich.console import Console
from support.in_process import aivax_here
from support.patience import PATIENT_S, best, until
from support.terminal_session import ENTER, TerminalSession, pasted
from support.upstream import Answer, Upstream, chunk, says, sse, usage
from support.workspaces import write_gateway

from aivax_cli.render.markdown import MarkdownRenderer
from aivax_cli.render.rows import row_text

ANSWER = (Path(__file__).parent.parent / "support" / "long_answer.md").read_text(encoding="utf-8")
CLOSED = "first token "
Start = Callable[..., TerminalSession]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(says("Yes.")) as server:
        yield server


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Path:
    root = tmp_path_factory.mktemp("endurance")
    model = f"{{base_url: {upstream.url}, name: big}}"
    write_gateway(root, "talk", model, more="pricing: {input: 0.25, output: 2.0}\n")
    return root


@pytest.fixture
def start(root: Path) -> Iterator[Start]:
    sessions: list[TerminalSession] = []

    def begin(*arguments: str, **options: Any) -> TerminalSession:
        sessions.append(TerminalSession("chat", *arguments, cwd=root, **options))
        sessions[-1].wait_for_prompt()
        return sessions[-1]

    yield begin
    for session in sessions:
        session.end()


def tokens(text: str) -> list[str]:
    """Pieces about as long as a model's tokens."""
    return re.findall(r"\s?\w{1,6}|\s+|[^\w\s]", text)


def streamed(pieces: list[str]) -> Answer:
    """The pieces in events of five, as busy endpoints send them."""
    events = [chunk("".join(pieces[at : at + 5])) for at in range(0, len(pieces), 5)]
    return sse([*events, chunk(finish="stop"), {"choices": [], "usage": usage(10, len(pieces))}])


def static(text: str, columns: int) -> list[str]:
    """The lines of the text, rendered at once."""
    rows = MarkdownRenderer(Console(file=io.StringIO(), width=columns)).document(text, columns)
    return [row_text(row) for row in rows]


def cpu_s(chat: TerminalSession) -> float:
    """The processor time of the program so far, from /proc; its resolution is a hundredth."""
    fields = Path(f"/proc/{chat.child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def peak_mib(chat: TerminalSession) -> float:
    status = Path(f"/proc/{chat.child.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def ask(chat: TerminalSession, question: str) -> list[str]:
    """Asks, waits for the end of the answer without a look at the screen, and gives the lines from there."""
    before = len(chat.raw)
    chat.type(f"{question}{ENTER}")
    chat.read_until(lambda: CLOSED.encode() in chat.raw[before:][-4000:], timeout_s=4 * PATIENT_S)
    chat.wait_for_prompt()
    lines = chat.lines
    return lines[max(n for n, line in enumerate(lines) if line.endswith(f"› {question}")) :]


def test_an_answer_of_50_000_tokens_is_whole_and_costs_no_more_for_each(
    start: Start, upstream: Upstream, record_testsuite_property: Callable[[str, object], None]
) -> None:
    pieces = tokens(f"{ANSWER}\n\n")
    pieces = pieces * (50_000 // len(pieces) + 1)
    few, many = pieces[:10_000], pieces[:50_000]
    chat = start()
    chat.enter("What the first answer loads is loaded now?")
    expected = static("".join(many), chat.screen.columns)

    def ratio() -> float:
        upstream.answers(streamed(few), streamed(many))
        started = cpu_s(chat)
        ask(chat, "Tell me something long")
        between, peak = cpu_s(chat), peak_mib(chat)
        shown = ask(chat, "Tell me all")
        took_s, grown = cpu_s(chat) - between, peak_mib(chat) - peak
        each_of_few, each_of_many = (between - started) / len(few), took_s / len(many)
        for name, value in {
            "cpu_seconds": took_s,
            "grown_mib": grown,
            "ms_cpu_a_token": each_of_many * 1000,
            "ratio": each_of_many / each_of_few,
        }.items():
            record_testsuite_property(f"long_answer_{name}", round(value, 3))
        begin = shown.index(expected[0])
        assert shown[begin : begin + len(expected)] == expected
        assert took_s < 60
        assert grown < 64
        return each_of_many / each_of_few

    # The few are enough for the clock that counts in hundredths, and not for more than a rough ratio.
    assert best(ratio, 2) < 2


def test_ten_thousand_pasted_lines_are_one_message_and_typing_goes_on(
    start: Start, upstream: Upstream
) -> None:
    upstream.answers(says("Yes."))
    chat = start()
    text = "\n".join(f"line {n} of the paste" for n in range(10_000))
    keys = pasted(text)
    for at in range(0, len(keys), 4096):
        chat.child.send(keys[at : at + 4096])
        chat.read(0)
    chat.wait_for("line 9999 of the paste")
    before = cpu_s(chat)
    chat.type(" and more")
    chat.wait_for("paste and more")
    assert cpu_s(chat) - before < 2
    chat.type(ENTER)
    chat.wait_for(CLOSED)
    assert upstream.bodies[-1]["messages"][-1]["content"] == f"{text} and more"
    assert len(chat.lines) < 200


STRANGE = """Family 👩‍👩‍👧‍👦, flag 🇧🇷, wave 👋🏽, e\u0301te\u0301, שלום עולם, مرحبا بالعالم.

- 日本語のテキストは幅が広い
- ação, coração, não

| word | means |
|---|---|
| שלום | peace 🕊️ |
| 犬 | dog |

```python
print("👩‍👩‍👧‍👦 e\u0301 שלום 日本語")
```

The end.
"""


@pytest.mark.parametrize("columns", [20, 40])
def test_a_narrow_screen_shows_all_of_a_strange_answer_once(
    start: Start, upstream: Upstream, columns: int
) -> None:
    upstream.answers(sse([chunk(piece) for piece in STRANGE], pause_s=0.003))
    chat = start(columns=columns, rows=24)
    chat.type(f"Go{ENTER}")
    chat.wait_for("The end.")
    chat.wait_for_prompt()
    seen = "".join("".join(chat.lines).split())
    for word in re.findall(r"\w{2,}", normalize("NFC", STRANGE)):
        assert word in seen
    for word in ("Family", "wave", "coração", "peace", "dog", "print", "Theend."):
        assert seen.count(word) == 1, word
    assert re.search(r"›$", chat.screen.display[chat.screen.cursor.y].rstrip())


def test_help_and_costs_can_be_read_on_a_narrow_screen(start: Start, upstream: Upstream) -> None:
    upstream.answers(says("Yes."))
    chat = start(columns=40, rows=24).enter("Go").enter("/help").enter("/cost")
    seen = " ".join(chat.text.split())
    assert "/continue" in seen
    assert "The last answer's passages" in seen
    assert "total" in seen


def test_a_resize_in_the_middle_of_a_table_and_of_code_shows_the_rest_once(
    start: Start, upstream: Upstream
) -> None:
    rows = "".join(f"| row{n} | value{n} |\n" for n in range(30))
    code = "".join(f"name{n} = {n}\n" for n in range(30))
    text = f"| a | b |\n|---|---|\n{rows}\n```python\n{code}```\n\nThe end.\n"
    upstream.answers(sse([chunk(line) for line in text.splitlines(keepends=True)], pause_s=0.02))
    chat = start(columns=100, rows=30)
    chat.type(f"Go{ENTER}")
    for reached, size in (
        ("row9", (60, 20)),
        ("row19", (120, 30)),
        ("name9", (50, 16)),
        ("name19", (100, 40)),
    ):
        chat.wait_for(reached)
        chat.resize(*size)
    chat.wait_for("The end.")
    chat.wait_for_prompt()
    assert re.findall(r"name(\d+) =", chat.text)[-10:] == [str(n) for n in range(20, 30)]
    assert [int(n) for n in re.findall(r"\bvalue(\d+)\b", chat.text)][-30:] == list(range(30))


def test_a_killed_chat_loses_at_most_the_words_of_the_last_second(
    start: Start, upstream: Upstream, root: Path
) -> None:
    """However long ago that second is: a busy machine may take ten times as long to keep what it has."""
    upstream.answers(sse([chunk(f"w{n} ") for n in range(51)], end=None, ending="stall", pause_s=0.05))
    chat = start()
    chat.type(f"Kill me{ENTER}")
    chat.wait_for("w50")

    def kept() -> str:
        newest = aivax_here("log", "--json", cwd=root).json["conversations"][0]["id"]
        return aivax_here("log", "show", newest, cwd=root).out

    until(lambda: "w50" in kept(), timeout_s=10)
    chat.child.kill(signal.SIGKILL)
    assert re.search(r"Kill me(.|\n)*w0 w1 (.|\n)*w50", kept())


STALLED = sse([chunk("Half an answer ")], end=None, ending="stall")


@pytest.mark.parametrize(
    ("stage", "ends"), [("at the prompt", signal.SIGTERM), ("while it answers", signal.SIGHUP)]
)
def test_a_chat_that_is_told_to_end_gives_the_terminal_back(
    start: Start, upstream: Upstream, root: Path, stage: str, ends: signal.Signals
) -> None:
    upstream.answers(STALLED)
    chat = TerminalSession("chat", cwd=root)
    before = termios.tcgetattr(chat.child.child_fd)
    chat.wait_for_prompt()
    question = f"{ends.name} {stage}"
    chat.type(question)
    if stage == "while it answers":
        chat.type(ENTER)
        chat.wait_for("Half an answer")
    assert termios.tcgetattr(chat.child.child_fd) != before
    chat.child.kill(ends)
    chat.read_until(lambda: not chat.child.isalive())
    assert termios.tcgetattr(chat.child.child_fd) == before
    assert not chat.screen.cursor.hidden
    assert chat.wait_for_end() == 128 + ends
    if stage == "while it answers":
        newest = aivax_here("log", "--json", cwd=root).json["conversations"][0]["id"]
        kept = aivax_here("log", "show", newest, cwd=root).out
        assert question in kept
        assert "Half an answer" in kept
