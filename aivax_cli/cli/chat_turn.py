"""One turn of a chat, which Ctrl-C can stop at any moment."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from aivax_cli.cli.chat_state import INTERRUPTED, ChatTurn
from aivax_cli.core.errors import AivaxError

if TYPE_CHECKING:
    from aivax_cli.cli.chat_state import Chat
    from aivax_cli.render.turn_view import TurnView

T = TypeVar("T")

# What is stopped may take this long to end; then the prompt comes back without it.
_GRACE_S = 0.1


class InterruptedWork(Exception):
    """Ctrl-C was pressed while the work was under way."""


async def interruptible(work: Coroutine[object, object, T]) -> T:
    """Runs the work; Ctrl-C cancels it and raises InterruptedWork, at the latest after a moment of grace."""
    task = asyncio.ensure_future(work)
    stop = asyncio.Event()
    with on_interrupt(stop.set):
        waiting = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_GRACE_S)
        finally:
            waiting.cancel()
            task.cancel()
    if stop.is_set() and (not task.done() or task.cancelled()):
        raise InterruptedWork
    return task.result()


@contextmanager
def on_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C calls `act` on the event loop, instead of raising KeyboardInterrupt somewhere."""
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(act))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def ask(chat: Chat, question: str, *, markdown: bool = True) -> ChatTurn:
    """Runs a turn on the question, shows it and adds it to the chat, however it ends.

    Raises nothing that a turn raises: an error is shown, and kept as what stopped the turn.
    """
    from aivax_cli.render.turn_view import TurnView

    as_json = chat.definition.response_schema is not None
    root = chat.workspace.root
    view = TurnView(chat.screen, markdown=markdown, question=question, root=root, as_json=as_json)
    stopped = await _follow(chat, view, question)
    turn = _turn(chat, view, question, stopped)
    chat.add(turn)
    if turn.result is not None:
        view.close()
    elif turn.text or stopped == INTERRUPTED or any(charge.amount_usd != 0 for charge in turn.charges):
        view.close(note=INTERRUPTED if stopped == INTERRUPTED else "failed", charges=turn.charges)
    return turn


async def _follow(chat: Chat, view: TurnView, question: str) -> str | None:
    """Shows the turn; returns what stopped it, None when it came to its end."""
    try:
        await interruptible(view.follow(chat.runtime.turn(chat.conversation(question))))
    except InterruptedWork:
        view.stop()
        return INTERRUPTED
    except AivaxError as error:
        chat.screen.error(error)
        return str(error)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not take the conversation with it
        if chat.screen.debug:
            chat.screen.err.print_exception()
        unexpected = AivaxError(
            f"unexpected {type(error).__name__}: {' '.join(str(error).split())[:300]}",
            fix="the conversation is kept; --debug shows where it happened",
        )
        chat.screen.error(unexpected)
        return str(unexpected)
    return None if view.result is not None else "the turn ended without a result"


def _turn(chat: Chat, view: TurnView, question: str, stopped: str | None) -> ChatTurn:
    result = view.result
    if result is not None:
        return ChatTurn(
            question,
            result.text,
            result.strategy,
            result.search_terms,
            result.passages,
            result.charges,
            result,
        )
    rewritten = view.rewritten
    return ChatTurn(
        question,
        view.text,
        rewritten.strategy if rewritten else chat.strategy or "",
        rewritten.search_terms.terms if rewritten else (),
        view.passages,
        chat.runtime.charges,
        stopped=stopped,
    )
