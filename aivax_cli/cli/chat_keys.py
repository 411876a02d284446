"""What the keys of a chat's prompt do beside editing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.key_binding.key_processor import KeyProcessor

    from aivax_cli.render.screen import Screen


def bind_keys(session: PromptSession[str], screen: Screen) -> None:
    """Enter sends; Alt-Enter and Ctrl-J start a new line; Ctrl-X Ctrl-E opens an editor.

    What is pasted stays whole: its line ends are no Enter.
    """
    from prompt_toolkit.filters import Condition, is_searching
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()
    editor = _Editor(screen)
    batches = _Batches(session.app.key_processor)

    def send(buffer: Buffer) -> None:
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None
        else:
            buffer.validate_and_handle()

    @keys.add("enter", filter=~is_searching)
    def _(event: KeyPressEvent) -> None:
        send(event.current_buffer)

    @keys.add("escape", "enter", filter=~is_searching)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @keys.add("c-j", filter=~is_searching)
    def _(event: KeyPressEvent) -> None:
        # Typed before there was a prompt, or sent by a program, an Enter comes as the line feed after words.
        if batches.at_end():
            send(event.current_buffer)
        else:
            event.current_buffer.newline(copy_margin=False)

    @keys.add("c-x", "c-e", filter=~is_searching)
    def _(event: KeyPressEvent) -> None:
        event.app.create_background_task(editor.open(event.current_buffer))

    @keys.add("<sigint>", filter=Condition(lambda: editor.is_open))
    def _(_event: KeyPressEvent) -> None:
        """Ctrl-C is the editor's, and throws no message away."""

    session.key_bindings = keys


class _Batches:
    """Which keys came together. A person's come one by one."""

    def __init__(self, processor: KeyProcessor) -> None:
        self._processor = processor
        self._waited = 0
        processor.after_key_press += self._note

    def at_end(self) -> bool:
        """Whether the key at hand came right after another one, and none came after it."""
        from prompt_toolkit.keys import Keys

        # The terminal's own answers are no keys.
        after = (each for each in self._processor.input_queue if each.key is not Keys.CPRResponse)
        return self._waited > 0 and next(after, None) is None

    def _note(self, processor: KeyProcessor) -> None:
        self._waited = len(processor.input_queue)


class _Editor:
    """The person's own editor for the message."""

    def __init__(self, screen: Screen) -> None:
        self.is_open = False
        self._screen = screen

    async def open(self, buffer: Buffer) -> None:
        """Opens the message; what is saved there is the message."""
        from prompt_toolkit.application import run_in_terminal
        from prompt_toolkit.document import Document

        self.is_open = True
        try:
            text = await run_in_terminal(lambda: self._edited(buffer.text), in_executor=True)
        finally:
            self.is_open = False
        buffer.document = Document(text, len(text))

    def _edited(self, text: str) -> str:
        from aivax_cli.cli.chat_editor import edited

        try:
            return edited(text, os.environ)
        except UsageError as error:
            self._screen.error(error)
            return text
