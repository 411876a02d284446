"""Cells side by side on the terminal: a table, and cost against pass rate as a plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aivax_cli.checks.comparing import Row
    from aivax_cli.render.screen import Screen

_PLOT_HEIGHT = 14
_PLOT_WIDTH = 72
_MARKS = "123456789abcdefghijklmnopqrstuvwxyz"


def show_comparison(
    screen: Screen, rows: Sequence[Row], chosen: Row | None, label: Callable[[Row], str]
) -> None:
    """The table of the cells, `chosen` marked, and the plot where costs are known and differ.

    Columns that nothing was measured for are left out.
    """
    from rich.table import Table
    from rich.text import Text

    columns = {name: [show(row) for row in rows] for name, show in _COLUMNS.items()}
    columns = {name: texts for name, texts in columns.items() if any(texts)}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("settings", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for place, row in enumerate(rows):
        mark = f"►{_mark(place)}" if row is chosen else f" {_mark(place)}"
        table.add_row(
            Text(mark), Text(screen.words(label(row))), *(texts[place] for texts in columns.values())
        )
    screen.show(table)
    if not screen.plain and len({row.usd_per_test for row in rows if row.usd_per_test is not None}) > 1:
        screen.show("")
        screen.show(
            Text.from_ansi(_plot(rows, screen.words("pass rate by USD per test"), colour=screen.interactive))
        )


def _mark(place: int) -> str:
    """One character, so that it can stand in the plot."""
    return _MARKS[place] if place < len(_MARKS) else "·"


def _plot(rows: Sequence[Row], title: str, *, colour: bool) -> str:
    """USD a test to the right, pass rate upwards; each cell is the mark of its row."""
    import plotext

    plotext.clear_figure()
    plotext.plot_size(_PLOT_WIDTH, _PLOT_HEIGHT)
    plotext.theme("clear")
    plotext.title(title)
    for place, row in enumerate(rows):
        if row.usd_per_test is not None:
            plotext.scatter([row.usd_per_test], [row.pass_rate], marker=_mark(place))
    plotext.ylim(0, 1)
    plotext.yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    text = str(plotext.build())
    return text if colour else str(plotext.uncolorize(text))


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} ms"


def _usd(row: Row) -> str:
    return "unpriced" if row.usd_per_test is None else f"{row.usd_per_test:.6f}"


_COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "passed": lambda row: f"{row.pass_rate:.0%}",
    "95 %": lambda row: f"{row.low:.0%}–{row.high:.0%}",
    "recall": lambda row: _share(row.recall),
    "MRR": lambda row: _share(row.mrr),
    "USD/test": _usd,
    "p50": lambda row: _ms(row.p50_ms),
    "p95": lambda row: _ms(row.p95_ms),
    "errors": lambda row: str(row.errors or ""),
}
