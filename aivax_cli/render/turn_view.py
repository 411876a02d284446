"""A turn as a person sees it: what is searched, the answer as it streams, its sources and its cost."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from aivax_cli.core.errors import AivaxError
from aivax_cli.core.events import (
    Event,
    Finished,
    Retrieved,
    Rewritten,
    TextDelta,
    ToolCalled,
    ToolCalling,
    TurnResult,
)
from aivax_cli.render.answer_stream import AnswerStream, RawAnswer, SilentAnswer
from aivax_cli.render.closing import Sources, closing_line
from aivax_cli.render.cost import cost_table as table_of_cost
from aivax_cli.render.event_lines import note_of, warning_of
from aivax_cli.render.safe_text import safe_line
from aivax_cli.render.status import Status

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path

    from aivax_cli.core.types import Charge, Passage
    from aivax_cli.render.screen import Screen


INTERRUPTED, FAILED = "interrupted", "failed"
"""Why a turn did not come to its end, before what it cost."""


async def show_turn(
    screen: Screen,
    events: AsyncGenerator[Event, None],
    *,
    cost_table: bool = False,
    markdown: bool = True,
    question: str | None = None,
    root: Path | None = None,
    as_json: bool = False,
    spent: Callable[[], Sequence[Charge]] = tuple,
) -> TurnResult | None:
    """Shows a turn while it runs and returns what it came to, None when it ended without `Finished`.

    On a terminal the answer is rendered as Markdown; a pipe gets its raw text, and with `--json` stdout
    gets nothing: the caller prints the object. Closes `events`. `question` tells apart the search terms
    worth showing; `root` is the folder below which sources are looked for, to link them. `as_json` says that
    the answer is JSON, which is highlighted where Markdown is rendered. `spent` tells what a turn cost that
    failed, or was interrupted.
    """
    view = TurnView(screen, markdown=markdown, question=question, root=root, as_json=as_json)
    try:
        await view.follow(events)
    except (AivaxError, asyncio.CancelledError) as stop:
        note = FAILED if isinstance(stop, AivaxError) else INTERRUPTED
        view.close_early(note, spent(), cost_table=cost_table)
        raise
    if view.result is not None:
        view.close(cost_table=cost_table)
    return view.result


class TurnView:
    """One turn on the screen. What has been seen of it can be read at any time, also after a stop."""

    def __init__(
        self,
        screen: Screen,
        *,
        markdown: bool = True,
        question: str | None = None,
        root: Path | None = None,
        as_json: bool = False,
    ) -> None:
        self.text = ""
        self.passages: tuple[Passage, ...] = ()
        self.result: TurnResult | None = None
        self._screen = screen
        self._question = question
        self._root = root
        self._status = Status(screen.aside, lambda: screen.held)
        self._answer = _answer_stream(screen, markdown=markdown)
        self._fenced = as_json and not isinstance(self._answer, RawAnswer)
        self._frame: asyncio.TimerHandle | None = None
        self._speaking = False
        self._noted = False
        self._over = False

    async def follow(self, events: AsyncGenerator[Event, None]) -> None:
        """Shows events until there are none; leaves a clean line behind, whatever happens."""
        try:
            async with aclosing(events):
                self.wait_for("thinking")
                with self._screen.making_way(self._interject):
                    async for event in events:
                        if self._over:
                            break
                        self._show(event)
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends the view on a clean line; what comes later is not shown."""
        if not self._over:
            self._over = True
            self._status.clear()
            self._stop_frame()
            self._answer.close()

    def wait_for(self, what: str) -> None:
        """Says what is being waited for, until there is something else to show."""
        # Where text goes elsewhere than this screen, nobody knows where its cursor stands.
        in_the_way = self._speaking or (self.text and not self._screen.interactive)
        if not (self._screen.quiet or in_the_way or self._over):
            self._status.say(f"{what}…")

    def close(
        self,
        *,
        cost_table: bool = False,
        note: str = "",
        charges: Sequence[Charge] | None = None,
    ) -> None:
        """Prints sources and the closing line of a turn, or the cost table in the line's place."""
        result = self.result
        spent = result.charges if charges is None and result is not None else tuple(charges or ())
        timing = result.timing if result is not None else None
        screen = self._screen
        if self.passages and self.text:
            self._space()
            screen.tell(Sources(self.passages, answer=self.text, root=self._root))
        if self.text:
            self._space()
        note = note or ("incomplete" if result and result.incomplete else "")
        screen.tell(closing_line(spent, timing, note=note, words=screen.words))
        if cost_table:
            screen.aside.print()
            screen.aside.print(table_of_cost(spent))

    def close_early(self, note: str, charges: Sequence[Charge], *, cost_table: bool = False) -> None:
        """Prints the same of a turn that did not come to its end, where there is anything to tell."""
        if self.text or any(charge.amount_usd != 0 for charge in charges):
            self.close(note=note, charges=charges, cost_table=cost_table)

    def _space(self) -> None:
        """A blank line, where answer and notes stand on one screen."""
        if self._screen.interactive:
            self._screen.tell("")

    def _show(self, event: Event) -> None:
        match event:
            case TextDelta(text):
                self._feed(text)
            case Rewritten():
                self.wait_for("searching")
            case Retrieved(passages):
                self.passages = passages
                self.wait_for("waiting for the model")
            case ToolCalling(call):
                self._settle()
                self.wait_for(f"calling {safe_line(call.name)}")
            case ToolCalled():
                self.wait_for("waiting for the model")
            case Finished(result):
                self.result = result
                self.passages = result.passages
        warning, note = warning_of(event), note_of(event, self._question)
        if warning:
            self._screen.warn(warning)
        elif note:
            self._screen.note(note)
        if not self._speaking:
            self._noted = self._noted or bool(warning or note)

    def _feed(self, text: str) -> None:
        if not text:
            return
        if not self._speaking:
            self._status.clear()
            if self._noted:
                self._space()
            self._speaking, self._noted = True, False
        self.text += text
        wait_s = self._answer.feed(f"```json\n{text}\n```\n" if self._fenced else text)
        if wait_s is not None and self._frame is None:
            self._frame = asyncio.get_running_loop().call_later(wait_s, self._refresh)

    def _settle(self) -> None:
        """Leaves what the model has said on the screen: a person may be asked about it."""
        self._stop_frame()
        self._answer.settle()
        self._speaking = False

    def _refresh(self) -> None:
        self._frame = None
        self._answer.refresh()

    def _stop_frame(self) -> None:
        if self._frame is not None:
            self._frame.cancel()
            self._frame = None

    def _interject(self) -> None:
        """Makes way for a line that is printed while the turn goes on."""
        self._status.hide()
        self._answer.hide()


def _answer_stream(screen: Screen, *, markdown: bool) -> AnswerStream:
    if screen.json_output:
        return SilentAnswer()
    if markdown and screen.interactive and not screen.out.is_dumb_terminal:
        from aivax_cli.render.markdown_stream import MarkdownStream

        return MarkdownStream(screen.out)
    return RawAnswer(screen)
