"""One turn of a chat, which Ctrl-C can stop at any moment."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from aivax_cli.cli.chat_state import INTERRUPTED, ChatTurn
from aivax_cli.cli.interrupts import Interrupts
from aivax_cli.core.errors import AivaxError

if TYPE_CHECKING:
    from aivax_cli.cli.chat_next import AskAgain
    from aivax_cli.cli.chat_state import Chat
    from aivax_cli.core.types import Conversation
    from aivax_cli.render.turn_view import TurnView

T = TypeVar("T")

# What is stopped may take this long to end; then the prompt comes back without it.
_GRACE_S = 0.1
_SHORTEST_REPEAT, _LONGEST_REPEAT = 12, 500


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
    """Ctrl-C calls `act` on the event loop, instead of raising KeyboardInterrupt somewhere.

    It does so at once when Ctrl-C was pressed a moment too early, before anything listened.
    """
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(act))
    if isinstance(before, Interrupts) and before.take():
        act()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


async def ask(chat: Chat, asked: AskAgain, *, markdown: bool = True) -> ChatTurn:
    """Runs a turn on the question, shows it and adds it to the chat, however it ends.

    It is kept while it happens. An answer that goes on is one with what has been said before. Raises nothing
    that a turn raises: an error is shown, and kept as what stopped the turn.
    """
    from aivax_cli.render.turn_view import FAILED, TurnView

    question, said = asked.question, asked.said
    as_json = chat.definition.response_schema is not None
    root = chat.workspace.root
    view = TurnView(chat.screen, markdown=markdown, question=question, root=root, as_json=as_json)
    keeping = chat.keeper.writing(chat, question, lambda: joined(said, view.text), asked.node)
    stopped = await _follow(chat, view, chat.conversation(question, said))
    turn = _turn(chat, view, question, stopped)
    turn = await keeping.done(_gone_on(turn, said) if said else turn)
    chat.add(turn)
    if turn.result is not None:
        view.close()
    elif stopped == INTERRUPTED:
        view.close(note=INTERRUPTED, charges=turn.charges)
    else:
        view.close_early(FAILED, turn.charges)
    return turn


def joined(said: str, more: str) -> str:
    """An answer and how it went on. What a model repeats of the end, a dozen characters or more, is told
    once."""
    for length in range(min(len(said), len(more), _LONGEST_REPEAT), _SHORTEST_REPEAT - 1, -1):
        if said.endswith(more[:length]):
            return said + more[length:]
    return said + more


def _gone_on(turn: ChatTurn, said: str) -> ChatTurn:
    """The whole answer of a turn that went on with what had been said."""
    text = joined(said, turn.text)
    return replace(turn, text=text, result=turn.result and replace(turn.result, text=text))


async def _follow(chat: Chat, view: TurnView, conversation: Conversation) -> str | None:
    """Shows the turn; returns what stopped it, None when it came to its end."""
    try:
        await interruptible(view.follow(chat.runtime.turn(conversation)))
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
    whole = view.result
    so_far = whole or chat.runtime.so_far
    if so_far is None:  # it could not even be begun
        return ChatTurn(question, strategy=chat.strategy or "", stopped=stopped)
    return ChatTurn(
        question,
        whole.text if whole else view.text,
        so_far.strategy,
        so_far.search_terms,
        so_far.passages,
        so_far.charges,
        whole,
        stopped=stopped,
        finish_reason=whole.finish_reason if whole else None,
        so_far=so_far,
    )
