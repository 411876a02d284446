"""Words on a console that knows its reader's language: fixed words, and the heads of tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from aivax_cli.messages.language import ENGLISH, Language

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, OverflowMethod, RenderableType, RenderResult
    from rich.segment import Segment


class SpokenConsole(Console):
    """A console that says the heads, feet and titles of tables in its language."""

    def __init__(self, language: Language, **options: Any) -> None:
        self.language = language
        super().__init__(**options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What rich does, with the words around a table's cells translated."""
        if isinstance(renderable, Table):
            for column in renderable.columns:
                column.header = self._said(column.header)
                column.footer = self._said(column.footer)
            renderable.title = self._said(renderable.title) if renderable.title else None
        return super().render(renderable, options)

    def _said(self, words: Any) -> Any:
        return self.language.translate(words) if isinstance(words, str) else words


class Spoken:
    """Fixed words, in the language of the console that they are printed on; `more` of another style after
    them, a text and its style each."""

    def __init__(
        self, text: str, style: str = "", *more: tuple[str, str], overflow: OverflowMethod | None = None
    ) -> None:
        self._parts = ((text, style), *more)
        self._overflow: OverflowMethod | None = overflow

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> RenderResult:
        yield self._said(console)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._said(console))

    def _said(self, console: Console) -> Text:
        words = language_of(console).translate
        text = Text.assemble(*((words(part), style) for part, style in self._parts))
        text.overflow = self._overflow
        return text


def language_of(console: Console) -> Language:
    """The language that a console speaks: English, unless it is a `SpokenConsole`."""
    return console.language if isinstance(console, SpokenConsole) else ENGLISH
