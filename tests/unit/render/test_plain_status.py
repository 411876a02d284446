"""Where nothing may move, what takes long is a line that stays."""

import asyncio
import io

import pytest
from rich.console import Console

from aivax_cli.render.plain_console import plain_console
from aivax_cli.render.status import Status

LONG_S = 0.1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


async def waited(terminal: Terminal, *labels: str, seconds: float) -> str:
    shown = Status(plain_console(Console)(file=terminal, force_terminal=True), long_s=LONG_S)
    for label in labels:
        shown.say(label)
        await asyncio.sleep(seconds)
    shown.clear()
    return terminal.getvalue()


def test_what_takes_long_is_told_once(terminal: Terminal) -> None:
    assert asyncio.run(waited(terminal, "searching", "thinking", seconds=0.25)) == "searching\nthinking\n"


def test_what_is_over_soon_is_not_told(terminal: Terminal) -> None:
    assert asyncio.run(waited(terminal, "searching", seconds=0.0)) == ""
