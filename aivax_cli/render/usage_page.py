"""What was used as one page with charts: nothing is loaded from elsewhere, and no script is needed.

The colours are Okabe and Ito's, which people tell apart however they see colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING

from aivax_cli.render.money import usd_short
from aivax_cli.render.safe_text import safe_line
from aivax_cli.render.usage_bars import amount_text, places
from aivax_cli.render.usage_chart import Series, stacked_chart
from aivax_cli.render.usage_view import NOBODY, NOT_SAID
from aivax_cli.usage.periods import Period, begin_of, fitting, name_of, periods
from aivax_cli.usage.sums import PERIODS, Sum, added

if TYPE_CHECKING:
    from aivax_cli.usage.report import Overview, Row
    from aivax_cli.usage.sums import Selection

_MOST_SERIES = 6
_MOST_BARS = 92
_MOST_ROWS = 100
_TITLES = {"gateway": "By gateway", "model": "By model", "sku": "By SKU", "key": "By key"}

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --warn: #9a6700;
  --c0: #0072b2; --c1: #e69f00; --c2: #009e73; --c3: #cc79a7; --c4: #56b4e9; --c5: #d55e00; --c6: #888888; }
@media (prefers-color-scheme: dark) { :root { --warn: #d29922; --c0: #3d9be0; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
.sub, .note { opacity: .75; margin: .2rem 0; } .warn { color: var(--warn); }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0; padding: 0; }
.tiles div { background: var(--soft); border-radius: .5rem; padding: .6rem 1rem; min-width: 8rem; }
.tiles dt { opacity: .75; font-size: .85rem; } .tiles dd { margin: 0; font-size: 1.3rem; }
.tiles small { display: block; font-size: .8rem; opacity: .75; }
table { border-collapse: collapse; width: 100%; } .wide { overflow-x: auto; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
th { font-weight: 600; font-size: .85rem; } td:first-child { overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { width: 34%; } .bar svg { display: block; width: 100%; height: .9rem; }
svg.chart { width: 100%; min-width: 34rem; height: auto; display: block; }
svg text { fill: currentColor; font-size: 12px; }
svg .grid { stroke: var(--line); } svg .bars rect:hover { opacity: .75; }
.c0 { fill: var(--c0); } .c1 { fill: var(--c1); } .c2 { fill: var(--c2); } .c3 { fill: var(--c3); }
.c4 { fill: var(--c4); } .c5 { fill: var(--c5); } .c6 { fill: var(--c6); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .4rem 0; list-style: none; }
.legend svg { width: .8rem; height: .8rem; vertical-align: -1px; margin-right: .4rem; }
summary { cursor: pointer; } details { margin: .6rem 0; }
@media (max-width: 34rem) { .bar { display: none; } }
"""


def usage_page(
    overview: Overview, selection: Selection, *, by: str, names: Mapping[str, str], made: datetime
) -> str:
    """The page. `by` may be a period, which the chart then has; `names` are what keys are called besides."""
    body = "\n".join(
        (
            *_head(overview, selection, made),
            *_chart(overview, by, made),
            *(part for name, rows in overview.by.items() for part in _section(name, rows, names)),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Usage</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _head(overview: Overview, selection: Selection, made: datetime) -> Iterator[str]:
    total, days = overview.total.sum, overview.total.days
    yield "<h1>Usage</h1>"
    span = f"{min(days)} to {max(days)}" if days else "nothing was used"
    yield f'<p class="sub">{span} · days are UTC · made {made:%Y-%m-%d %H:%M} UTC</p>'
    if told := _filters(selection):
        yield f'<p class="sub">only {escape(told)}</p>'
    about = "~" if total.estimated_usd else ""
    apart = "without what is unpriced" if total.unpriced_tokens else ""
    tiles = [
        ("cost", about + usd_short(total.priced_usd), apart),
        ("tokens", f"{total.tokens:,}", ""),
        ("turns", f"{overview.total.turns:,}", ""),
    ]
    if total.unpriced_tokens:
        of = f"of {overview.unpriced_turns:,} turn{'' if overview.unpriced_turns == 1 else 's'}, in no cost"
        tiles.append(("unpriced", f"{total.unpriced_tokens:,} tokens", of))
    if total.estimated_tokens:
        part = usd_short(total.estimated_usd)
        tiles.append(("estimated", f"{total.estimated_tokens:,} tokens", f"counted here; {part} of the cost"))
    shown = (
        f'<div><dt class="{"warn" if name == "unpriced" else "plain"}">{name}</dt><dd>{value}'
        + (f"<small>{small}</small>" if small else "")
        + "</dd></div>"
        for name, value, small in tiles
    )
    yield f'<dl class="tiles">{"".join(shown)}</dl>'


def _filters(selection: Selection) -> str:
    wanted = [("gateway", selection.gateways), ("model", selection.models), ("SKU", selection.skus)]
    told = [f"{name} {' or '.join(values)}" for name, values in wanted if values]
    told += [f"{key}={value}" for key, value in selection.metadata.items()]
    told += [f"since {selection.since:%Y-%m-%d %H:%M}"] if selection.since else []
    told += [f"until {selection.until:%Y-%m-%d %H:%M}"] if selection.until else []
    return safe_line(", ".join(told))


def _chart(overview: Overview, by: str, made: datetime) -> Iterator[str]:
    """The course, with models stacked, and the same as a table."""
    days = overview.total.days
    if not days:
        return
    usd = overview.total.sum.priced_usd > 0
    length = (max(days) - min(days)).days + 1
    period: Period = PERIODS.get(by, "day")
    if period == "day":
        period = fitting(length, _MOST_BARS)
    begins = list(periods(min(days), max(days), period))
    rows = overview.by["model"]
    series = [
        _series(_name("model", row.key, {}), row.days, begins, period, usd=usd) for row in rows[:_MOST_SERIES]
    ]
    if len(rows) > _MOST_SERIES:
        rest: dict[date, list[Sum]] = {}
        for row in rows[_MOST_SERIES:]:
            for day, sum_ in row.days.items():
                rest.setdefault(day, []).append(sum_)
        others = {day: added(sums) for day, sums in rest.items()}
        series.append(_series(f"{len(rows) - _MOST_SERIES} more", others, begins, period, usd=usd))
    what = "Cost" if usd else "Tokens"
    yield f"<h2>{what} by {period}</h2>"
    labels = [name_of(begin, period) for begin in begins]
    series = [each for each in series if any(each.values)]
    chart = stacked_chart(labels, series, usd=usd, title=f"{what} by {period}, models stacked")
    yield f'<div class="wide">{chart}</div>'
    yield '<ul class="legend">'
    for number, each in enumerate(series):
        swatch = f'<rect class="c{number}" width="1" height="1"/>'
        yield f'<li><svg viewBox="0 0 1 1" aria-hidden="true">{swatch}</svg>{escape(each.name)}</li>'
    yield "</ul>"
    if begins[-1] == begin_of(made.date(), period):
        yield f'<p class="note">{labels[-1]} is not over.</p>'
    by_begin: dict[date, list[Sum]] = {begin: [] for begin in begins}
    for day, sum_ in days.items():
        by_begin[begin_of(day, period)].append(sum_)
    sums = [(name_of(begin, period), added(found)) for begin, found in by_begin.items()]
    yield f"<details><summary>The same as a table</summary>{_table(period, sums, bars=False)}</details>"


def _series(
    name: str, days: Mapping[date, Sum], begins: Sequence[date], period: Period, *, usd: bool
) -> Series:
    values = dict.fromkeys(begins, Decimal(0))
    for day, sum_ in days.items():
        values[begin_of(day, period)] += sum_.priced_usd if usd else sum_.tokens
    return Series(name, tuple(values.values()))


def _section(by: str, rows: Sequence[Row], names: Mapping[str, str]) -> Iterator[str]:
    if not rows:
        return
    yield f"<h2>{escape(_TITLES.get(by) or 'By ' + safe_line(by.partition(':')[2]))}</h2>"
    yield _table(by, [(_name(by, row.key, names), row.sum) for row in rows[:_MOST_ROWS]], bars=True)
    if len(rows) > _MOST_ROWS:
        yield f'<p class="note">and {len(rows) - _MOST_ROWS:,} more, each of which cost less</p>'


def _table(heading: str, rows: Sequence[tuple[str, Sum]], *, bars: bool) -> str:
    digits = places([sum_.priced_usd for _, sum_ in rows])
    usd = any(sum_.priced_usd for _, sum_ in rows)
    most = max((sum_.priced_usd if usd else Decimal(sum_.tokens) for _, sum_ in rows), default=Decimal(0))
    unpriced = any(sum_.unpriced_tokens for _, sum_ in rows)
    lines = []
    for name, sum_ in rows:
        value = sum_.priced_usd if usd else Decimal(sum_.tokens)
        cells = [f"<td>{escape(name)}</td>"]
        cells += [f'<td class="bar">{_bar(value, most)}</td>'] if bars else []
        cells += [f'<td class="number">{_cost(sum_, digits)}</td><td class="number">{sum_.tokens:,}</td>']
        if unpriced:
            apart = f"{sum_.unpriced_tokens:,}" if sum_.unpriced_tokens else ""
            cells.append(f'<td class="number warn">{apart}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    said = "SKU" if heading == "sku" else safe_line(heading.partition(":")[2] or heading)
    head = f"<th>{escape(said)}</th>"
    head += '<th class="bar"></th>' if bars else ""
    head += '<th class="number">cost</th><th class="number">tokens</th>'
    head += '<th class="number">unpriced tokens</th>' if unpriced else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _bar(value: Decimal, most: Decimal) -> str:
    width = float(100 * value / most) if most else 0.0
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="c0" width="{width:.2f}" height="10"/></svg>'
    )


def _cost(sum_: Sum, digits: int) -> str:
    if sum_.tokens and sum_.unpriced_tokens == sum_.tokens:
        return "unpriced"
    return escape(("~" if sum_.estimated_usd else "") + amount_text(sum_.priced_usd, digits))


def _name(by: str, key: str, names: Mapping[str, str]) -> str:
    said = safe_line(key)
    if key in names:
        return f"{safe_line(names[key])} ({said})"
    return said or NOBODY.get(by, NOT_SAID)
