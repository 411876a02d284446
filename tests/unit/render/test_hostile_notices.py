"""Warnings, errors and notes name files and repeat what endpoints said: no terminal obeys any of it."""

import io
from collections.abc import Callable

import pytest

from aivax_cli.core.errors import AivaxError
from aivax_cli.render.screen import Screen


@pytest.mark.parametrize(
    "say",
    [
        lambda screen: screen.error(AivaxError("notes\x1b[2J.md: cannot be read")),
        lambda screen: screen.warn("notes\x1b[2J.md: not read"),
        lambda screen: screen.note("notes\x1b[2J.md: 4 characters of text"),
    ],
)
def test_a_terminal_obeys_nothing_in_a_notice(say: Callable[[Screen], None]) -> None:
    err = io.StringIO()
    say(Screen(no_color=True, stdout=io.StringIO(), stderr=err))
    assert "notes␛[2J.md" in err.getvalue()
    assert "\x1b" not in err.getvalue()
