"""What was used, for a person: a table with bars, and a sparkline of its course."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.cells import cell_len

from aivax_cli.render.money import UNPRICED, usd_short
from aivax_cli.render.safe_text import safe_line
from aivax_cli.render.spoken import Spoken, language_of
from aivax_cli.render.usage_bars import amount_text, bar, places, sparkline
from aivax_cli.usage.periods import fitting, name_of, periods

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

    from aivax_cli.usage.report import Report, Row
    from aivax_cli.usage.sums import Sum

Words = Callable[[str], str]
"""A text of ours in the reader's language."""

NOBODY = {"gateway": "(ingest)", "key": "(no key)"}
"""What stands for charges that no gateway made, and for those of nobody's key."""
NOT_SAID = "(not said)"
_HEADINGS = {"day": "day (UTC)", "week": "week from (UTC)", "month": "month (UTC)", "sku": "SKU"}
_MOST = {
    "day": "by day, most on",
    "week": "by week, most in the week from",
    "month": "by month, most in",
}
_PART = {
    "day": "… a part of that day only",
    "week": "… a part of that week only",
    "month": "… a part of that month only",
}
_GAP = 2
_SHORTEST_BAR, _LONGEST_BAR = 6, 40
_SHORTEST_KEY = 10
_TREND = 16
_LONGEST_LINE = 60
_BAR_STYLE = "cyan"


class _Column(Struct, frozen=True):
    heading: str
    cells: Sequence[str]
    footer: str = ""
    style: str = ""

    @property
    def width(self) -> int:
        return max(cell_len(text) for text in (self.heading, self.footer, *self.cells))


class UsageTable:
    """A report as a table. On a terminal with bars, and beside groups the course of each over the time.

    A narrow screen loses first the trends, then turns, tokens and bars; the key and the cost always stay.
    Elsewhere than on a terminal nothing is drawn or left out.
    """

    def __init__(self, report: Report, *, names: Mapping[str, str], drawn: bool) -> None:
        self._report = report
        self._names = names
        self._drawn = drawn

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        report, ascii_only = self._report, options.ascii_only
        words = language_of(console).translate
        keys = [self._key(row, words) for row in report.rows]
        heading = words(_heading(report.by))
        most = max((cell_len(text) for text in (*keys, heading)), default=0)
        columns, free = _columns(report, most, options.max_width if self._drawn else None, words)
        table = _table()
        table.add_column(
            heading,
            footer="total",
            footer_style="bold",
            overflow="fold",
            width=None if not self._drawn else max(_SHORTEST_KEY, min(most, most + free)),
        )
        for column in columns:
            table.add_column(
                column.heading,
                footer=column.footer,
                footer_style=column.style,
                justify="right",
                no_wrap=True,
            )
        extras = self._extras(free, words, ascii_only=ascii_only) if self._drawn else []
        for extra in extras:
            table.add_column(extra.heading, footer=extra.footer, no_wrap=True, style=extra.style)
        from rich.text import Text

        for number, key in enumerate(keys):
            table.add_row(
                Text(key), *(each.cells[number] for each in columns), *(each.cells[number] for each in extras)
            )
        yield table

    def _key(self, row: Row, words: Words) -> str:
        said = safe_line(row.key)
        if row.key in self._names:
            return f"{safe_line(self._names[row.key])} ({said})"
        if not said:
            return words(NOBODY.get(self._report.by, NOT_SAID))
        return f"{said} …" if row.partial else said

    def _extras(self, free: int, words: Words, *, ascii_only: bool) -> list[_Column]:
        """Trends and bars, as wide as there is room for them."""
        report, found = self._report, []
        if report.period is None and free >= _TREND + _GAP + _LONGEST_BAR // 2:
            span = _days(report.total.days)
            if len(span) > 1:
                trends = [
                    sparkline(_course(row.days, span, _TREND, usd=_in_usd(report)), ascii_only=ascii_only)
                    for row in report.rows
                ]
                found.append(_Column(words("over time"), trends, style=_BAR_STYLE))
                free -= _TREND + _GAP
        width = min(_LONGEST_BAR, free - _GAP)
        if width >= _SHORTEST_BAR and len(report.rows) > 1:
            values = [_value(row.sum, usd=_in_usd(report)) for row in report.rows]
            bars = [bar(value, max(values), width, ascii_only=ascii_only) for value in values]
            found.append(_Column("" if _in_usd(report) else words("by tokens"), bars, style=_BAR_STYLE))
        return found


class UsageLine:
    """The course of everything on one line, days without charges included, and when it was most."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        report, usd = self._report, _in_usd(self._report)
        span = _days(report.total.days)
        room = min(_LONGEST_LINE, options.max_width - 2 * len("2026-05-04") - 2)
        if len(span) < 3 or room < _SHORTEST_BAR:
            return
        period = fitting(len(span), room)
        begins = list(periods(span[0], span[-1], period))
        if len(begins) < 3 or len(begins) > room:
            return
        values = _by_period(report.total.days, begins, usd=usd)
        line = sparkline(values, ascii_only=options.ascii_only)
        yield Text.assemble(
            (f"{name_of(begins[0], period)} ", "dim"),
            (line, _BAR_STYLE),
            (f" {name_of(begins[-1], period)}", "dim"),
        )
        top = max(range(len(values)), key=values.__getitem__)
        most = usd_short(values[top]) if usd else f"{values[top]:,} tokens"
        yield Spoken(f"{_MOST[period]} {name_of(begins[top], period)}: {most}", "dim")


def notes(report: Report) -> list[str]:
    """What a sum does not say by itself, a line each."""
    said, total = [], report.total.sum
    if total.unpriced_tokens:
        turns = f"{report.unpriced_turns:,} turn{'' if report.unpriced_turns == 1 else 's'}"
        said.append(f"unpriced and in no cost: {total.unpriced_tokens:,} tokens of {turns}")
    if total.estimated_tokens:
        said.append(f"~ {total.estimated_tokens:,} of the tokens are estimates, counted here.")
    partial = [row.key for row in report.rows if row.partial]
    if partial:
        said.append(f"{_PART[report.by]}: {', '.join(partial)}")
    return said


def _columns(report: Report, key_width: int, width: int | None, words: Words) -> tuple[list[_Column], int]:
    """The figures that fit beside the keys, and the room that is left, or missing if negative.

    All of them without a width.
    """
    cost = _costs(report, words)
    tokens = _Column(
        words("tokens"), [f"{row.sum.tokens:,}" for row in report.rows], f"{report.total.sum.tokens:,}"
    )
    turns = _Column(words("turns"), [f"{row.turns:,}" for row in report.rows], f"{report.total.turns:,}")
    unpriced = _Column(
        words("unpriced tokens"),
        [f"{row.sum.unpriced_tokens:,}" if row.sum.unpriced_tokens else "" for row in report.rows],
        f"{report.total.sum.unpriced_tokens:,}",
        "yellow",
    )
    full = [turns, tokens, cost, *([unpriced] if report.total.sum.unpriced_tokens else [])]
    if width is None:
        return full, 0
    choices = [full, [turns, tokens, cost], [tokens, cost], [cost]]
    for columns in choices:
        free = width - key_width - sum(column.width + _GAP for column in columns)
        if free >= _SHORTEST_BAR + _GAP:
            return columns, free
    # Keys are folded; a bar has no room beside them.
    return choices[-1], width - key_width - cost.width - _GAP


def _costs(report: Report, words: Words) -> _Column:
    digits = places([row.sum.priced_usd for row in (*report.rows, report.total)])
    cells = [words(_cost(row.sum, digits)) for row in report.rows]
    return _Column(words("cost"), cells, words(_cost(report.total.sum, digits)), "bold")


def _cost(sum_: Sum, digits: int) -> str:
    """The priced part; nothing to show where no token had a price."""
    if sum_.unpriced_tokens == sum_.tokens and sum_.tokens:
        return UNPRICED
    return ("~" if sum_.estimated_usd else "") + amount_text(sum_.priced_usd, digits)


def _table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_footer=True,
        header_style="bold",
        border_style="dim",
    )


def _heading(by: str) -> str:
    return _HEADINGS.get(by, by.partition(":")[2] or by)


def _in_usd(report: Report) -> bool:
    """Whether costs are drawn; where nothing had a cost, tokens are."""
    return report.total.sum.priced_usd > 0


def _value(sum_: Sum, *, usd: bool) -> Decimal:
    return sum_.priced_usd if usd else Decimal(sum_.tokens)


def _days(days: Mapping[date, Sum]) -> list[date]:
    """Every day from the first to the last."""
    if not days:
        return []
    first = min(days)
    return [first + timedelta(days=number) for number in range((max(days) - first).days + 1)]


def _by_period(days: Mapping[date, Sum], begins: Sequence[date], *, usd: bool) -> list[Decimal]:
    values = []
    for begin, end in pairwise([*begins, date.max]):
        values.append(
            sum((_value(sum_, usd=usd) for day, sum_ in days.items() if begin <= day < end), Decimal(0))
        )
    return values


def _course(days: Mapping[date, Sum], span: Sequence[date], width: int, *, usd: bool) -> list[Decimal]:
    """The days in at most `width` steps of the same length."""
    step = -(-len(span) // width)
    steps = [Decimal(0)] * -(-len(span) // step)
    for day, sum_ in days.items():
        steps[(day - span[0]).days // step] += _value(sum_, usd=usd)
    return steps
