"""The inside of a paragraph: emphasis, code, links, as styled text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

if TYPE_CHECKING:
    from markdown_it.token import Token

_STYLES = {
    "em_open": Style.parse("italic"),
    "strong_open": Style.parse("bold"),
    "s_open": Style.parse("strike"),
}
_CODE = Style.parse("cyan")
_LINK = Style.parse("underline")
_ADDRESS = Style.parse("dim")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def inline_text(inline: Token) -> Text:
    """An inline token as text. A line end of the source stays one; a link shows its address."""
    text = Text()
    stack: list[tuple[int, Style]] = []
    for token in inline.children or ():
        kind = token.type
        if kind in _STYLES:
            stack.append((len(text), _STYLES[kind]))
        elif kind == "link_open":
            stack.append((len(text), _LINK + Style(link=_address(token, "href"))))
        elif kind == "link_close":
            _close_link(text, *stack.pop())
        elif kind.endswith("_close"):
            start, style = stack.pop()
            text.stylize(style, start)
        else:
            _leaf(text, token)
    return text


def _leaf(text: Text, token: Token) -> None:
    match token.type:
        case "softbreak" | "hardbreak":
            text.append("\n")
        case "code_inline":
            text.append(token.content, _CODE)
        case "image":
            text.append(f"[image: {token.content}]")
            text.append(f" ({_address(token, 'src')})", _ADDRESS)
        case "html_inline" if _BREAK.fullmatch(token.content):
            text.append("\n")
        case _:
            text.append(token.content)


def _close_link(text: Text, start: int, style: Style) -> None:
    shown = text.plain[start:]
    text.stylize(style, start)
    address = style.link or ""
    if address and address not in (shown, f"mailto:{shown}", f"http://{shown}", f"https://{shown}"):
        text.append(f" ({address})", _ADDRESS)


def _address(token: Token, name: str) -> str:
    """A link's target; markdown-it has percent-encoded what is no URL character."""
    return str(token.attrs.get(name, ""))
