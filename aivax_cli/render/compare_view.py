"""Cells side by side on the terminal: a table, and cost against pass rate as a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aivax_cli.render.safe_text import safe_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aivax_cli.checks.comparing import Row
    from aivax_cli.render.screen import Screen

_PLOT_HEIGHT = 14
_PLOT_WIDTH = 72


def show_comparison(
    screen: Screen, rows: Sequence[Row], chosen: Row | None, label: Callable[[Row], str]
) -> None:
    """The table of the cells, `chosen` marked, and the plot where costs are known and differ."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("settings", overflow="fold")
    for title in ("passed", "95 %", "recall", "MRR", "USD/test", "p50", "p95", "errors"):
        table.add_column(title, justify="right", no_wrap=True)
    for number, row in enumerate(rows, start=1):
        table.add_row(
            Text("►" if row is chosen else str(number)),
            Text(safe_line(label(row))),
            f"{row.pass_rate:.0%}",
            f"{row.low:.0%}–{row.high:.0%}",
            _share(row.recall),
            _share(row.mrr),
            "unpriced" if row.usd_per_test is None else f"{row.usd_per_test:.6f}",
            _ms(row.p50_ms),
            _ms(row.p95_ms),
            str(row.errors or ""),
        )
    screen.show(table)
    priced = [row for row in rows if row.usd_per_test is not None]
    if len({row.usd_per_test for row in priced}) > 1:
        screen.show("")
        screen.show(Text.from_ansi(_plot(rows, colour=screen.interactive)))


def _plot(rows: Sequence[Row], *, colour: bool) -> str:
    """USD a test to the right, pass rate upwards; each cell is the number of its row."""
    import plotext

    plotext.clear_figure()
    plotext.plot_size(_PLOT_WIDTH, _PLOT_HEIGHT)
    plotext.theme("clear")
    plotext.title("pass rate by USD per test")
    for number, row in enumerate(rows, start=1):
        if row.usd_per_test is not None:
            plotext.scatter([row.usd_per_test], [row.pass_rate], marker=str(number)[-1])
    plotext.ylim(0, 1)
    text = str(plotext.build())
    return text if colour else str(plotext.uncolorize(text))


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} ms"
