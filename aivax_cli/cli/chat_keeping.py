"""A chat's turns are kept while they happen, in the workspace's log of conversations.

Whatever keeps them from being kept is told once, and the chat goes on. What could not be kept is kept with
the next turn that can be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.cli.attachments import Attachment
from aivax_cli.cli.chat_state import INTERRUPTED, ChatTurn
from aivax_cli.conversations.records import KeptFile, Node, State, Summary, TurnRecord
from aivax_cli.conversations.switch import keeping
from aivax_cli.core.errors import ConversationError

if TYPE_CHECKING:
    from aivax_cli.cli.chat_state import Chat
    from aivax_cli.conversations.records import Kept, KeptTurn
    from aivax_cli.conversations.store import Conversations
    from aivax_cli.render.screen import Screen

TICK_S: Final = 0.5
"""A streaming answer is saved this often."""

NOT_KEPT: Final = "this conversation is not kept; `aivax log on` changes that"


class Keeper:
    """Keeps one chat. Nothing is opened before the first turn."""

    def __init__(
        self, state_dir: Path, screen: Screen, conversation: str | None = None, *, told: bool = False
    ) -> None:
        """`told` says that the person knows whether the chat is kept."""
        self.conversation = conversation
        """Its id; None while nothing of it has been kept."""
        self._state_dir = state_dir
        self._screen = screen
        self._warned = False
        self._was_on = keeping(state_dir) if told else True
        self._store: Conversations | None = None

    def on(self) -> bool:
        """Whether conversations are kept in this workspace. That they are not is told when it becomes so."""
        on = keeping(self._state_dir)
        if self._was_on and not on:
            self._screen.note(NOT_KEPT)
        self._was_on = on
        return on

    def start_anew(self) -> None:
        """What follows is another conversation; this one stays in the log."""
        self.conversation = None

    def writing(
        self, chat: Chat, question: str, said: Callable[[], str], again: Node | None = None
    ) -> Writing:
        """Begins to keep a turn, in the background. `again` is a turn of the same question."""
        return Writing(self, chat, question, said, again)

    async def go_back(self, chat: Chat) -> None:
        """The conversation ends with the chat's last turn from now on."""
        last = chat.last
        node = last.node if last else None
        if self.conversation is not None and (node or not last):
            await self.attempt(lambda store, name: store.go_back(name, node))

    async def fork(self, at_turn: Node) -> None:
        """What follows is a new conversation that shares the turns up to this one."""

        def forking(store: Conversations, name: str) -> None:
            self.conversation = store.fork(name, at_turn)

        await self.attempt(forking)

    async def rename(self, title: str) -> None:
        await self.attempt(lambda store, name: store.rename(name, title))

    async def summarise(self, up_to: Node, summary: Summary) -> None:
        await self.attempt(lambda store, _: store.summarise(up_to, summary))

    async def title(self) -> str:
        """The conversation's title, "" where it has none."""
        found: list[str] = []
        await self.attempt(lambda store, name: found.append(store.named(name).title))
        return found[0] if found else ""

    async def attempt(self, work: Callable[[Conversations, str], object]) -> bool:
        """Does something to the kept conversation, if there is one; returns whether it was done."""
        name = self.conversation
        if name is None:
            return False
        try:
            await asyncio.to_thread(lambda: work(self.store(), name))
        except ConversationError as error:
            self.tell(error)
            return False
        return True

    def tell(self, error: ConversationError) -> None:
        """Warns, once a chat."""
        if not self._warned:
            self._warned = True
            self._screen.warn(f"this conversation is not kept: {error}")

    def store(self) -> Conversations:
        """The log, opened when it is needed. Called in threads, by one at a time."""
        if self._store is None:
            from aivax_cli.conversations.store import Conversations

            self._store = Conversations(self._state_dir)
        return self._store

    def close(self) -> None:
        if self._store is not None:
            self._store.close()


class Writing:
    """One turn that is being kept: begun at once, saved while it streams, finished at its end."""

    def __init__(
        self, keeper: Keeper, chat: Chat, question: str, said: Callable[[], str], again: Node | None
    ) -> None:
        self._keeper = keeper
        self._chat = chat
        self._question = question
        self._said = said
        self._again = again
        self._before: list[ChatTurn] = []
        self._private = not keeper.on()
        self._over = asyncio.Event()
        self._task: asyncio.Task[Node] | None = None
        if not self._private:
            self._task = asyncio.create_task(self._write())

    async def done(self, turn: ChatTurn) -> ChatTurn:
        """Keeps the turn as it ended, and returns it with its place in the tree, if it has got one."""
        if self._task is None:
            return replace(turn, private=True)
        self._over.set()
        try:
            node = await self._task
        except ConversationError as error:
            self._keeper.tell(error)
            return turn
        finally:
            # What was caught up on has its place in the tree, even where this turn has not.
            self._chat.turns = (*self._before, *self._chat.turns[len(self._before) :])
        turn = replace(turn, node=node, unsaved=True)
        try:
            await asyncio.to_thread(self._finish, turn)
        except ConversationError as error:
            self._keeper.tell(error)
            return turn
        return replace(turn, unsaved=False)

    async def _write(self) -> Node:
        chat, files = self._chat, kept_files(self._chat.attached)
        gateway, turns = chat.definition.name, chat.turns
        node = await asyncio.to_thread(self._begin, gateway, turns, files)
        saved = ""
        ticks = 0
        while not self._over.is_set():
            text, ticks = self._said(), ticks + 1
            # What is unchanged is saved too, at every second tick: so others see that it is being written.
            if text != saved or ticks % 2 == 0:
                await asyncio.to_thread(self._save, node, text)
                saved = text
            try:
                await asyncio.wait_for(self._over.wait(), TICK_S)
            except TimeoutError:
                continue
        return node

    def _begin(self, gateway: str, turns: tuple[ChatTurn, ...], files: tuple[KeptFile, ...]) -> Node:
        """In a thread: puts the question into the tree, after whatever of the chat is not in it yet."""
        keeper, store = self._keeper, self._keeper.store()
        first = next((turn for turn in turns if not turn.private), None)
        if keeper.conversation is None:
            keeper.conversation = store.begin(gateway, first.question if first else self._question)
        name = keeper.conversation
        after: Node | None = None
        for turn in turns:
            self._before.append(turn)
            if not turn.private and (turn.node is None or turn.unsaved):
                node = turn.node or store.ask(name, after, turn.question, kept_files(turn.attachments))
                self._before[-1] = replace(turn, node=node, unsaved=True)
                self._finish(self._before[-1])
                self._before[-1] = replace(turn, node=node, unsaved=False)
            after = self._before[-1].node or after
        if self._again is not None:
            return store.ask_again(name, self._again, self._said())
        return store.ask(name, after, self._question, files)

    def _save(self, node: Node, text: str) -> None:
        # A moment's trouble is no news: the next tick, or the end of the turn, tries again.
        with suppress(ConversationError):
            self._keeper.store().save(node, text)

    def _finish(self, turn: ChatTurn) -> None:
        """In a thread: keeps the end of a turn that is in the tree."""
        if turn.node is not None:
            name = self._keeper.conversation or ""
            self._keeper.store().finish(name, turn.node, turn.text, state_of(turn), record_of(turn))


def state_of(turn: ChatTurn) -> State:
    """How far the turn's answer came."""
    if turn.stopped == INTERRUPTED:
        return "interrupted"
    if turn.stopped is not None:
        return "failed"
    return "broken" if turn.result is not None and turn.result.incomplete else "whole"


def record_of(turn: ChatTurn) -> TurnRecord:
    """What is kept of the turn beside its text."""
    result = turn.result
    stopped = turn.stopped or (result.incomplete if result else None)
    return TurnRecord(
        turn.strategy,
        turn.search_terms,
        turn.passages,
        turn.charges,
        model=(result.target or result.model) if result else "",
        finish_reason=turn.finish_reason,
        stopped=None if stopped == INTERRUPTED else stopped,
        context_tokens=result.context_tokens if result else None,
    )


def kept_files(attachments: tuple[Attachment, ...]) -> tuple[KeptFile, ...]:
    return tuple(KeptFile(each.name, each.content) for each in attachments)


def taken_up(turn: KeptTurn) -> ChatTurn:
    """A kept turn as a turn of the chat that goes on with it."""
    unfinished = turn.state in ("writing", "interrupted")
    record = turn.record
    return ChatTurn(
        turn.question,
        turn.text,
        record.strategy,
        record.search_terms,
        record.passages,
        record.charges,
        stopped=INTERRUPTED if unfinished else record.stopped,
        attachments=tuple(Attachment(file.name, file.content) for file in turn.files),
        finish_reason=record.finish_reason,
        node=turn.node,
        summary=turn.summary.text if turn.summary else None,
    )


class Earlier(Struct, frozen=True):
    """A conversation that was begun in an earlier session, and its turns."""

    kept: Kept
    turns: tuple[ChatTurn, ...]


def find_kept(state_dir: Path, *, gateway: str | None, prefix: str | None) -> Earlier:
    """The conversation to go on with: the latest (of a gateway), or one by its id.

    Raises NotFoundError, and ConversationError when nothing can be read.
    """
    from aivax_cli.conversations.store import Conversations

    store = Conversations(state_dir)
    try:
        kept = store.named(prefix) if prefix is not None else store.latest(gateway)
        return Earlier(kept, tuple(map(taken_up, store.turns(kept.head))))
    finally:
        store.close()
