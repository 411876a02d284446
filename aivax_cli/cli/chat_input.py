"""Where a chat's messages come from: a prompt with editing and completion, or lines on stdin."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import FormattedText
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings

    from aivax_cli.render.screen import Screen

PROMPT = "› "

_NEARLY_FULL = 80
"""Per cent of the context from which on its use stands out."""
_STYLES = {
    "prompt": "bold ansicyan",
    "use": "ansibrightblack",
    "full": "ansiyellow",
    "bottom-toolbar": "noreverse ansibrightblack",
}

Choices = Mapping[str, Callable[[], Iterable[str]]]
"""For each command, without its slash, what may follow it."""


async def prompted_messages(
    screen: Screen,
    *,
    history_file: Path | None,
    choices: Choices,
    toolbar: Callable[[], str],
    context_use: Callable[[], int | None],
) -> AsyncGenerator[str, None]:
    """What a person types, until Ctrl-D on an empty line.

    `context_use`, in per cent, stands before the prompt where it is known. What is typed goes to
    `history_file`, with None nowhere.
    """
    session = _session(screen, history_file, choices, toolbar)
    while True:
        try:
            text = await session.prompt_async(_prompt(context_use()))
        except KeyboardInterrupt:
            if not session.app.current_buffer.text:
                screen.note("Ctrl-D or /exit leaves")
            continue
        except EOFError:
            return
        if text.strip():
            with _typing_kept_hidden():
                yield text


async def piped_messages(screen: Screen) -> AsyncGenerator[str, None]:
    """One message a line of stdin. A person who types them is shown a prompt on stderr."""
    person = sys.stdin.isatty()
    while True:
        if person:
            screen.err.print(PROMPT, end="")
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


def _session(
    screen: Screen, history_file: Path | None, choices: Choices, toolbar: Callable[[], str]
) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.formatted_text import FormattedText
    from prompt_toolkit.output import ColorDepth
    from prompt_toolkit.styles import Style

    return PromptSession(
        multiline=True,
        prompt_continuation=lambda width, _line, _wraps: " " * width,
        key_bindings=_keys(),
        completer=_completer(choices),
        complete_while_typing=True,
        history=_history(screen, history_file),
        bottom_toolbar=lambda: FormattedText([("class:bottom-toolbar.text", toolbar())]),
        style=Style.from_dict(_STYLES),
        color_depth=ColorDepth.DEPTH_1_BIT if screen.out.no_color else None,
        reserve_space_for_menu=6,
    )


def _keys() -> KeyBindings:
    """Enter sends; Alt-Enter starts a new line. What is pasted stays whole, its line ends are no Enter."""
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


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


def _completer(choices: Choices) -> Completer:
    from prompt_toolkit import completion

    class CommandCompleter(completion.Completer):
        """Completes a command, and what follows it."""

        def get_completions(self, document: Document, _event: CompleteEvent) -> Iterator[Completion]:
            text = document.text
            if not text.startswith("/") or "\n" in text:
                return
            command, space, typed = text.partition(" ")
            found = choices[command[1:]]() if space and command[1:] in choices else ()
            if not space:
                found, typed = (f"/{name}" for name in choices), command
            for word in found:
                if word.lower().startswith(typed.lower()):
                    yield completion.Completion(word, start_position=-len(typed))

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
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(terminal, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
