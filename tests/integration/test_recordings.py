"""The recorded session in docs/: it plays, it is small, and the program still does what it shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyte
import pytest
from support.readme import REPOSITORY
from support.recordings import COLUMNS, ROWS, model, session, shop
from support.upstream import Upstream
from support.virtual_terminal import TerminalScreen

DOCS = REPOSITORY / "docs"
SESSION = DOCS / "recordings" / "session.cast"
SHOWN = (
    "UserRewrite searches “return period jacket”, “cost of sending goods back”",
    "Within 30 days of delivery, unworn and with its label [2]. Sending it back costs [1]:",
    r"\[1\]  docs/shipping\.md:1-9 +Shipping > Returns +0\.\d\d",
    r"interrupted · ~\d+ in · ~\d+ out · ~\$0\.000\d+",
    "going on: And if it arrives torn?",
    "Then it is replaced at no cost [1]. Send a photograph within 7 days",
)
LAST = (r"day \(UTC\) +turns +tokens +cost", r"total +4\d\d +1,\d{3},\d{3} +~\$0\.\d+")


def played(cast: str) -> TerminalScreen:
    """The screen after an asciicast has been played on it."""
    first, *events = map(json.loads, cast.splitlines())
    assert (first["version"], first["width"], first["height"]) == (2, COLUMNS, ROWS)
    screen = TerminalScreen(COLUMNS, ROWS, history=10_000, ratio=0.5)
    stream, before = pyte.Stream(screen), 0.0
    for at, kind, text in events:
        assert kind == "o" and at >= before
        before = at
        stream.feed(text)
    return screen


def told(screen: TerminalScreen) -> str:
    history = ["".join(row[x].data for x in range(COLUMNS)).rstrip() for row in screen.history.top]
    return "\n".join([*history, *(line.rstrip() for line in screen.display)])


def found(text: str, wanted: str) -> bool:
    return wanted in text or re.search(wanted, text) is not None


def test_the_recording_plays_what_its_page_says() -> None:
    screen = played(SESSION.read_text("utf-8"))
    assert [wanted for wanted in SHOWN if not found(told(screen), wanted)] == []
    assert [wanted for wanted in LAST if not found("\n".join(screen.display), wanted)] == []


def test_the_recording_and_the_pictures_are_small_and_name_nothing_of_a_machine() -> None:
    files = [SESSION, *(DOCS / "images").iterdir()]
    assert sum(file.stat().st_size for file in files) < 300_000
    for file in files:
        assert not re.search(rb"/tmp/|/home/|/root/|file://", file.read_bytes()), file


def test_every_picture_is_on_the_page_and_has_words_for_those_who_do_not_see_it() -> None:
    page = (DOCS / "terminal-session.md").read_text("utf-8")
    shown = dict(re.findall(r"!\[([^\]]+)\]\(images/([^)]+)\)", page))
    assert set(shown.values()) == {file.name for file in (DOCS / "images").iterdir()}
    assert all(len(words) > 20 for words in shown)


@pytest.mark.timeout(180)
def test_the_program_still_does_what_the_recording_shows(tmp_path: Path) -> None:
    pictures: dict[str, str] = {}
    with Upstream(model) as upstream:
        shop(tmp_path, upstream)
        cast = session(tmp_path, pictures, hurry=True)
    screen = played(cast)
    assert [wanted for wanted in SHOWN if not found(told(screen), wanted)] == []
    assert [wanted for wanted in LAST if not found("\n".join(screen.display), wanted)] == []
    assert {f"{name}.svg" for name in pictures} == {file.name for file in (DOCS / "images").glob("*.svg")}
