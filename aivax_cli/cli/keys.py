"""Single keys from the terminal, without holding up the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

_PAUSE_S = 0.05
_LONGEST_PRESS = 1024
INTERRUPT, END = "\x03", "\x04"


@contextmanager
def single_keys() -> Iterator[Callable[[str], Awaitable[str]]]:
    """Inside the block keys come one by one, unseen: put a question there, then await what it gives.

    That is a function of the wanted keys, which returns the first of them that is pressed, in lower case, or
    END when there will be none. What was typed before the block is thrown away: it was no answer. Raises
    OSError without a terminal. Ctrl-C stays what it is everywhere.
    """
    with _terminal() as read:

        async def pressed(wanted: str) -> str:
            while True:
                typed = read()
                if typed is None:
                    await asyncio.sleep(_PAUSE_S)
                    continue
                # Of what comes in one piece, pasted or an arrow key, the first character alone is looked at.
                key = typed[:1].lower() or END
                if key in wanted or key == END:
                    return key

        yield pressed


if sys.platform == "win32":

    @contextmanager
    def _terminal() -> Iterator[Callable[[], str | None]]:
        """Gives a function that reads what has been typed: None while there is nothing, "" at the end."""
        import msvcrt

        if not sys.stdin.isatty():
            raise OSError("no terminal")
        while msvcrt.kbhit():
            msvcrt.getwch()

        def read() -> str | None:
            if not msvcrt.kbhit():
                return None
            key = msvcrt.getwch()
            if key == INTERRUPT:
                raise KeyboardInterrupt
            return key

        yield read

else:

    @contextmanager
    def _terminal() -> Iterator[Callable[[], str | None]]:
        """Gives a function that reads what has been typed: None while there is nothing, "" at the end."""
        import select
        import termios

        # Not stdin, which may be a pipe with the question's text.
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
        try:
            before = termios.tcgetattr(terminal)
            single = termios.tcgetattr(terminal)
            single[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(terminal, termios.TCSAFLUSH, single)
            termios.tcflush(terminal, termios.TCIFLUSH)

            def read() -> str | None:
                if not select.select([terminal], [], [], 0)[0]:
                    return None
                return os.read(terminal, _LONGEST_PRESS).decode("utf-8", "replace")

            try:
                yield read
            finally:
                termios.tcsetattr(terminal, termios.TCSANOW, before)
        except termios.error as error:
            raise OSError("the terminal cannot be read") from error
        finally:
            os.close(terminal)
