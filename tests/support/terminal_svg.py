"""A terminal's screen as a picture: SVG, without fonts or anything else from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Any

from support.virtual_terminal import TerminalScreen

_CELL = (8.4, 19)
_SIZE = 14
_MARGIN = 14
_BAR = 34
_FONTS = "ui-monospace,'Cascadia Mono','DejaVu Sans Mono',Menlo,Consolas,monospace"
_BACKGROUND, _FOREGROUND = "#1c1f26", "#d7dae0"
_COLOURS = {
    "black": "#1c1f26",
    "red": "#e8707a",
    "green": "#8fc97b",
    "brown": "#e3bd72",
    "blue": "#6fb2f0",
    "magenta": "#cf8ee8",
    "cyan": "#5cc5cf",
    "white": "#d7dae0",
    "brightblack": "#7d8596",
    "brightred": "#f28b94",
    "brightgreen": "#a8dc95",
    "brightbrown": "#f0d08c",
    "brightblue": "#8fc6fa",
    "brightmagenta": "#deabf2",
    "brightcyan": "#7fd9e2",
    "brightwhite": "#ffffff",
}


class PictureScreen(TerminalScreen):
    """Knows dim text, which pyte does not: it is kept as what blinks."""

    def select_graphic_rendition(self, *attrs: int, **kwargs: Any) -> None:
        super().select_graphic_rendition(*_with_dim(attrs), **kwargs)


def _with_dim(codes: Sequence[int]) -> Iterator[int]:
    numbers = iter(codes)
    for code in numbers:
        if code in (38, 48):
            kind = next(numbers, 5)
            yield from (code, kind, *(next(numbers, 0) for _ in range(1 if kind == 5 else 3)))
        elif code == 22:
            yield from (22, 25)
        else:
            yield 5 if code == 2 else code


def svg(rows: Sequence[Any], columns: int, title: str) -> str:
    """The rows (pyte's lines) as a window with a title."""
    width = columns * _CELL[0] + 2 * _MARGIN
    height = len(rows) * _CELL[1] + _BAR + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
        f' font-family="{_FONTS}" font-size="{_SIZE}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{_BACKGROUND}"/>',
        *(f'<circle cx="{18 + n * 18}" cy="17" r="5.5" fill="#4a5060"/>' for n in range(3)),
        f'<text x="{width / 2:g}" y="22" fill="#7d8596" text-anchor="middle">{escape(title)}</text>',
    ]
    for number, row in enumerate(rows):
        parts += _row([row[x] for x in range(columns)], _BAR + (number + 0.75) * _CELL[1])
    return "\n".join([*parts, "</svg>\n"])


def _row(cells: Sequence[Any], y: float) -> Iterator[str]:
    x = 0
    for (style, full), group in groupby(cells, key=_kind):
        run = list(group)
        left, width = _MARGIN + x * _CELL[0], len(run) * _CELL[0]
        x += len(run)
        fore, back = _colours(style)
        if full or back != _BACKGROUND:
            top, fill = y - 0.75 * _CELL[1], fore if full else back
            yield f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{_CELL[1]}" fill="{fill}"/>'
        text = "".join(cell.data for cell in run)
        if text.strip() and not full:
            yield (
                f'<text x="{left:g}" y="{y:g}" xml:space="preserve" textLength="{width:g}"'
                f' fill="{fore}"{_looks(style)}>{escape(text)}</text>'
            )


def _kind(cell: Any) -> tuple[Any, bool]:
    """The cell's looks, and whether it is filled: between filled glyphs there would be seams."""
    return cell._replace(data=""), cell.data == "█"


def _colours(style: Any) -> tuple[str, str]:
    fore, back = _colour(style.fg, _FOREGROUND), _colour(style.bg, _BACKGROUND)
    return (back, fore) if style.reverse else (fore, back)


def _colour(name: str, default: str) -> str:
    return default if name == "default" else _COLOURS.get(name, f"#{name}")


def _looks(style: Any) -> str:
    looks = (
        (style.bold, ' font-weight="bold"'),
        (style.italics, ' font-style="italic"'),
        (style.underscore, ' text-decoration="underline"'),
        (style.strikethrough, ' text-decoration="line-through"'),
        (style.blink, ' opacity="0.62"'),
    )
    return "".join(look for holds, look in looks if holds)
