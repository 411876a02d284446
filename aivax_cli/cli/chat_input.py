"""Where a chat's messages come from: a prompt with editing and completion, or lines on stdin."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import FormattedText
    from prompt_toolkit.history import History

    from aivax_cli.cli.chat_completion import Offer
    from aivax_cli.cli.chat_next import Draft
    from aivax_cli.render.screen import Screen

PROMPT, PLAIN_PROMPT = "› ", "> "

_NEARLY_FULL = 80
"""Per cent of the context from which on its use stands out."""
_STYLES = {
    "prompt": "bold {cyan}",
    "use": "{bright_black}",
    "full": "{yellow}",
    "bottom-toolbar": "noreverse {bright_black}",
}
_COLOURS = {"cyan": "ansicyan", "yellow": "ansiyellow", "bright_black": "ansibrightblack"}


class Surroundings(Struct, frozen=True):
    """What a prompt asks the chat for, each time anew.

    `offers` completes the text before the cursor, `line` is what stands below the prompt in so many columns,
    `context_use`, in per cent, before it where it is known; `draft` is what the next prompt begins with. The
    prompt itself is handed to `began`, once; `entered` is told of each message at the key that sends it.
    """

    offers: Callable[[str], Iterable[Offer]]
    line: Callable[[int], str]
    context_use: Callable[[], int | None]
    draft: Callable[[], Draft | None]
    began: Callable[[PromptSession[str]], None]
    entered: Callable[[], None]


async def prompted_messages(
    screen: Screen, around: Surroundings, *, history_file: Path | None
) -> AsyncGenerator[str, None]:
    """What a person types, until Ctrl-D on an empty line. It goes to `history_file`, with None nowhere."""
    session = _session(screen, history_file, around)
    around.began(session)
    answered = True
    while True:
        # A draft that was thrown away with Ctrl-C is not begun with again.
        draft = around.draft() if answered else None
        answered = False
        begun = await written(screen, draft) if draft else ""
        try:
            prompt = _prompt(around.context_use())
            # In the prompt Ctrl-C is a key. As a signal it comes a moment later, and is for the turn.
            text = await session.prompt_async(prompt, default=begun, handle_sigint=False)
        except KeyboardInterrupt:
            if not session.app.current_buffer.text:
                screen.note("Ctrl-D or /exit leaves")
            continue
        except EOFError:
            return
        if text.strip():
            with _typing_kept_hidden():
                yield text
            answered = True


async def written(screen: Screen, draft: Draft) -> str:
    """What the person makes of a draft in their editor; the draft when there is none, which is told."""
    import asyncio

    from aivax_cli.cli.chat_editor import edited

    try:
        return await asyncio.to_thread(edited, draft.text, os.environ)
    except UsageError as error:
        screen.error(error)
        return draft.text


async def piped_messages(screen: Screen) -> AsyncGenerator[str, None]:
    """One message a line of stdin. A person who types them is shown a prompt on stderr."""
    person = sys.stdin.isatty()
    while True:
        if person:
            screen.err.print(PLAIN_PROMPT if screen.plain else PROMPT, end="")
        line = _read_line()
        if not line:
            return
        if line.strip():
            yield line.rstrip("\r\n")


def _read_line() -> str:
    # The event loop has its own way with Ctrl-C, which a read that blocks would never see.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return sys.stdin.readline()
    finally:
        signal.signal(signal.SIGINT, before)


def _prompt(percent: int | None) -> FormattedText:
    from prompt_toolkit.formatted_text import FormattedText

    use = []
    if percent is not None:
        use = [("class:full" if percent >= _NEARLY_FULL else "class:use", f"{percent}% ")]
    return FormattedText([*use, ("class:prompt", PROMPT)])


def _session(screen: Screen, history_file: Path | None, around: Surroundings) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.filters import Always
    from prompt_toolkit.formatted_text import FormattedText
    from prompt_toolkit.output import ColorDepth
    from prompt_toolkit.styles import Style

    from aivax_cli.cli.chat_keys import bind_keys

    colours = {**_COLOURS, **screen.palette}

    def line() -> FormattedText:
        columns = session.output.get_size().columns
        return FormattedText([("class:bottom-toolbar.text", around.line(columns))])

    session: PromptSession[str] = PromptSession(
        multiline=True,
        prompt_continuation=lambda width, _line, _wraps: " " * width,
        completer=_completer(around.offers, screen.words),
        complete_while_typing=True,
        history=_history(screen, history_file),
        bottom_toolbar=line,
        style=Style.from_dict({name: style.format_map(colours) for name, style in _STYLES.items()}),
        color_depth=ColorDepth.DEPTH_1_BIT if screen.out.no_color else None,
        reserve_space_for_menu=6,
    )
    # Up looks for what begins as the message does. The session's own switch for it ends completion.
    session.default_buffer.enable_history_search = Always()
    bind_keys(session, screen)
    accept = session.default_buffer.accept_handler

    def entered(buffer: Buffer) -> bool:
        around.entered()
        return accept(buffer) if accept else False

    session.default_buffer.accept_handler = entered
    return session


def _history(screen: Screen, file: Path | None) -> History:
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    if file is None:
        return InMemoryHistory()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # What people ask is nobody else's business.
        file.touch(mode=0o600)
        with file.open("ab"):
            return FileHistory(str(file))
    except OSError as error:
        screen.warn(f"{file}: {error.strerror or error}; what you type is not remembered")
        return InMemoryHistory()


def _completer(offers: Callable[[str], Iterable[Offer]], words: Callable[[str], str]) -> Completer:
    from prompt_toolkit import completion

    class CommandCompleter(completion.Completer):
        """Completes a command, and what follows it."""

        def get_completions(self, document: Document, _event: CompleteEvent) -> Iterator[Completion]:
            text = document.text_before_cursor
            for offer in offers(text):
                yield completion.Completion(
                    offer.text,
                    start_position=offer.start - len(text),
                    display=offer.shown or None,
                    display_meta=words(offer.about) or None,
                )

    return CommandCompleter()


@contextmanager
def _typing_kept_hidden() -> Iterator[None]:
    """Keys typed meanwhile are not echoed into the answer; the next prompt gets them."""
    if sys.platform == "win32":
        yield
        return
    import termios

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = termios.tcgetattr(terminal)
    # An Enter stays what it is: as a line feed it would be Ctrl-J for the prompt.
    quiet[0] &= ~termios.ICRNL
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(terminal, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
