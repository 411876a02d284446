"""A console for screen readers: no colour, no cursor that moves, no lines that are drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment


def plain_console(kind: type[Console]) -> type[Console]:
    """The same kind of console, to which every terminal is one that can only print lines."""

    class PlainConsole(kind):  # type: ignore[misc, valid-type]
        """Tables are columns of text alone."""

        @property
        def is_dumb_terminal(self) -> bool:
            """What moves the cursor asks for it first."""
            return bool(self.is_terminal)

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            """What rich does, without the lines of a table."""
            if isinstance(renderable, Table):
                renderable.box = None
            found: Iterable[Segment] = super().render(renderable, options)
            return found

    return PlainConsole
