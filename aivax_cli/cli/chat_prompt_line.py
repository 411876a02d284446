"""The line below the prompt: who answers, how it searches, and what it has cost so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from aivax_cli.cli.chat_state import Chat
    from aivax_cli.core.types import Charge

_BETWEEN: Final = " · "


class Standing(Struct, frozen=True):
    """What there is to show. `strategy` is None without knowledge; `attached` counts files."""

    gateway: str
    model: str
    strategy: str | None = None
    collections: tuple[str, ...] = ()
    attached: int = 0
    spent: Sequence[Charge] = ()


def standing(chat: Chat) -> Standing:
    """How a chat stands now."""
    knowledge = chat.definition.knowledge
    return Standing(
        chat.definition.name,
        chat.model,
        chat.strategy,
        tuple(knowledge.collections) if knowledge else (),
        len(chat.attached),
        chat.spent,
    )


def described(at: Standing) -> str:
    """Gateway, model, strategy and collections."""
    return _BETWEEN.join([at.gateway, at.model, *([_search(at)] if at.strategy else [])])


def prompt_line(at: Standing, columns: int, words: Callable[[str], str] = str) -> str:
    """As much of it as fits: collections, model, files, strategy are left out first, in this order.

    Then the gateway's name is cut. The cost stays, and is nothing as long as there is none. `words` gives a
    text in the reader's language.
    """
    from rich.cells import cell_len, set_cell_size

    from aivax_cli.render.money import cost_short

    strategy = [at.strategy] if at.strategy else []
    files = [words(f"{at.attached} file{'' if at.attached == 1 else 's'}")] if at.attached else []
    cost = [cost_short(at.spent)] if at.spent else []
    search = [words(_search(at))] if strategy else []
    for parts in (
        [at.gateway, at.model, *search, *files, *cost],
        [at.gateway, at.model, *strategy, *files, *cost],
        [at.gateway, *strategy, *files, *cost],
        [at.gateway, *strategy, *cost],
        [at.gateway, *cost],
    ):
        line = _BETWEEN.join(parts)
        if cell_len(line) <= columns:
            return line
    rest = "".join(f"{_BETWEEN}{part}" for part in cost)
    room = columns - cell_len(rest) - 1
    return f"{set_cell_size(at.gateway, room).rstrip()}…{rest}" if room > 0 else "".join(cost)


def _search(at: Standing) -> str:
    return f"{at.strategy} over {', '.join(at.collections)}"
