"""A chart of stacked bars as inline SVG. Pure; colours are the page's classes `c0` to `c6`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import ROUND_CEILING, Decimal
from html import escape
from typing import Final

from msgspec import Struct

from aivax_cli.render.usage_bars import amount_text, places

_WIDTH, _HEIGHT = 960, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 8, 12, 28
_MOST_LABELS = 8
_STEPS: Final = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


class Series(Struct, frozen=True):
    """A name and a value for each bar."""

    name: str
    values: tuple[Decimal, ...]


def stacked_chart(labels: Sequence[str], series: Sequence[Series], *, usd: bool, title: str) -> str:
    """The SVG element: a bar for each label, with the series stacked, the first at the bottom.

    Every part says its label, name and amount when it is pointed at. `usd`: values are USD, else tokens.
    """
    totals = [sum((each.values[number] for each in series), Decimal(0)) for number in range(len(labels))]
    ticks = _ticks(max(totals, default=Decimal(0)))
    parts = [*_grid(ticks, usd=usd), '<g class="bars">', *_bars(labels, series, ticks[-1], usd=usd), "</g>"]
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        + "".join((*parts, *_labels(labels)))
        + "</svg>"
    )


def _ticks(most: Decimal) -> list[Decimal]:
    """Round values from 0 to at least `most`, four or five steps apart."""
    if most <= 0:
        return [Decimal(0), Decimal(1)]
    raw = most / 4
    unit = Decimal(1).scaleb(raw.adjusted())
    step = next(unit * factor for factor in _STEPS if unit * factor >= raw)
    count = int((most / step).to_integral_value(ROUND_CEILING))
    return [step * number for number in range(count + 1)]


def _y(value: Decimal, most: Decimal) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - float(value / most))


def _grid(ticks: Sequence[Decimal], *, usd: bool) -> Iterator[str]:
    digits = places(ticks[1:2])
    for tick in ticks:
        y = _y(tick, ticks[-1])
        said = amount_text(tick, digits) if usd else f"{tick:,.0f}"
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{said}</text>'


def _bars(labels: Sequence[str], series: Sequence[Series], most: Decimal, *, usd: bool) -> Iterator[str]:
    slot = (_WIDTH - _LEFT - _RIGHT) / len(labels)
    width = min(slot * 0.8, 48.0)
    digits = places([value for each in series for value in each.values]) if usd else 0
    for number, label in enumerate(labels):
        x = _LEFT + slot * number + (slot - width) / 2
        below = Decimal(0)
        for colour, each in enumerate(series):
            value = each.values[number]
            if value <= 0:
                continue
            top, bottom = _y(below + value, most), _y(below, most)
            below += value
            said = amount_text(value, digits) if usd else f"{value:,.0f} tokens"
            told = escape(f"{label} · {each.name} · {said}")
            yield (
                f'<rect class="c{colour}" x="{x:.1f}" y="{top:.2f}" width="{width:.1f}"'
                f' height="{bottom - top:.2f}"><title>{told}</title></rect>'
            )


def _labels(labels: Sequence[str]) -> Iterator[str]:
    slot = (_WIDTH - _LEFT - _RIGHT) / len(labels)
    every = -(-len(labels) // _MOST_LABELS)
    for number in range(0, len(labels), every):
        x = min(max(_LEFT + slot * (number + 0.5), _LEFT + 30), _WIDTH - _RIGHT - 34)
        yield f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(labels[number])}</text>'
