"""The control sequence that puts text into a terminal's clipboard."""

import base64
import io

import pytest
from support.virtual_terminal import VirtualTerminal

from aivax_cli.core.errors import UsageError
from aivax_cli.render.clipboard import MOST_BYTES, clipboard_sequence, copied
from aivax_cli.render.screen import Screen

TEXT = "naïve ☕\nnext line"
ENCODED = base64.b64encode(TEXT.encode()).decode()


def test_the_text_goes_out_in_base64() -> None:
    assert clipboard_sequence(TEXT, {}) == f"\x1b]52;c;{ENCODED}\x07"


def test_tmux_gets_it_for_itself_and_to_hand_on() -> None:
    plain = clipboard_sequence(TEXT, {})
    passed = f"\x1bPtmux;\x1b\x1b]52;c;{ENCODED}\x07\x1b\\"
    assert clipboard_sequence(TEXT, {"TMUX": "/tmp/tmux-0/default,1,0"}) == plain + passed


def test_it_says_what_was_copied() -> None:
    terminal = VirtualTerminal()
    copied(Screen(stdout=terminal, stderr=terminal), TEXT, "code block 2", {})
    assert "".join(terminal.written).startswith(f"\x1b]52;c;{ENCODED}\x07")
    assert "copied code block 2: 17 characters" in "".join(terminal.written)


def test_without_a_terminal_nothing_is_written() -> None:
    out = io.StringIO()
    with pytest.raises(UsageError, match="there is no terminal that has a clipboard; /save"):
        copied(Screen(stdout=out, stderr=out), TEXT, "the answer", {})
    assert out.getvalue() == ""


def test_more_than_terminals_take_is_refused() -> None:
    terminal = VirtualTerminal()
    screen = Screen(stdout=terminal, stderr=terminal)
    copied(screen, "é" * (MOST_BYTES // 2), "the answer", {})
    written = len(terminal.written)
    with pytest.raises(UsageError, match="the answer is 74,996 bytes long; terminals take 74,994"):
        copied(screen, "é" * (MOST_BYTES // 2 + 1), "the answer", {})
    assert len(terminal.written) == written
