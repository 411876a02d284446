"""What a chat remembers: its turns, and the gateway that answers them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from aivax_cli.cli.attachments import Attachment, with_files
from aivax_cli.core.types import Attached, Charge, Conversation, Message, Passage
from aivax_cli.prompt.compacting import SUMMARY_NAME

if TYPE_CHECKING:
    from aivax_cli.cli.chat_keeping import Keeper
    from aivax_cli.conversations.records import Node
    from aivax_cli.core.events import TurnResult
    from aivax_cli.gateway.definition import Gateway
    from aivax_cli.gateway.workspace import Workspace
    from aivax_cli.render.screen import Screen
    from aivax_cli.wiring import GatewayRuntime

INTERRUPTED = "interrupted"

GO_ON = "(Your answer to this broke off. Go on with the very next word of it, and repeat nothing.)"
"""Stands below the question when a model is asked to go on: so a search is still about the question."""


class ChatTurn(Struct, frozen=True):
    """A question and what came of it.

    `result` is None for a turn that did not come to its end; `stopped` then says why: `interrupted`, or
    the line of the error. What had come until then is kept: text, terms, passages, charges, and in `so_far`
    all else. A turn of an earlier session has neither. `node` is the turn's place in the tree of what is
    kept; the end of one that is `unsaved` is not kept yet, a `private` one never is. `summary` stands for all
    turns up to this one, in what is sent.
    """

    question: str
    text: str = ""
    strategy: str = ""
    search_terms: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()
    charges: tuple[Charge, ...] = ()
    result: TurnResult | None = None
    stopped: str | None = None
    attachments: tuple[Attachment, ...] = ()
    finish_reason: str | None = None
    node: Node | None = None
    private: bool = False
    unsaved: bool = False
    summary: str | None = None
    so_far: TurnResult | None = None

    @property
    def cut_off(self) -> bool:
        """Whether the answer ended before its end."""
        incomplete = self.result is not None and self.result.incomplete is not None
        return incomplete or self.stopped is not None or self.finish_reason == "length"

    @property
    def messages(self) -> Conversation:
        """The turn as later turns see it; nothing when there was no answer, as roles must alternate."""
        if not self.text.strip():
            return ()
        return (self.asked, Message("assistant", self.text))

    @property
    def asked(self) -> Message:
        """The question with what was attached to it."""
        return with_files(Message("user", self.question), self.attachments)


class Chat(Struct):
    """A chat under way."""

    screen: Screen
    workspace: Workspace
    runtime: GatewayRuntime
    directory: Path
    keeper: Keeper
    turns: tuple[ChatTurn, ...] = field(default=())
    spent: tuple[Charge, ...] = field(default=())
    """Every charge of this chat, also of turns that were undone."""
    attached: tuple[Attachment, ...] = field(default=())
    """What goes along with the next message."""

    @property
    def definition(self) -> Gateway:
        return self.runtime.gateway.definition

    @property
    def last(self) -> ChatTurn | None:
        return self.turns[-1] if self.turns else None

    @property
    def model(self) -> str:
        """The model as users write it; of a list, the first."""
        model = self.definition.models[0]
        return model if isinstance(model, str) else model.name

    @property
    def strategy(self) -> str | None:
        """The search strategy, None for a gateway without knowledge."""
        return self.definition.knowledge.strategy if self.definition.knowledge else None

    def conversation(self, question: str, said: str = "") -> Conversation:
        """What a turn on this question is given; with what has been `said`, one that goes on from there."""
        earlier, turns = self.since_summary
        before = [message for turn in turns for message in turn.messages]
        messages = [*before, with_files(Message("user", question), self.attached)]
        if said:
            messages += [Message("assistant", said), Message("user", f"{question}\n\n{GO_ON}")]
        if earlier:
            first = messages[0]
            messages[0] = replace(first, attached=(Attached(SUMMARY_NAME, earlier), *first.attached))
        return tuple(messages)

    @property
    def since_summary(self) -> tuple[str, tuple[ChatTurn, ...]]:
        """The latest summary, "" for none, and the turns after those that it stands for."""
        for place in range(len(self.turns) - 1, -1, -1):
            if summary := self.turns[place].summary:
                return summary, self.turns[place + 1 :]
        return "", self.turns

    def add(self, turn: ChatTurn) -> None:
        """Keeps a turn, with what was attached to its question."""
        self.turns = (*self.turns, replace(turn, attachments=self.attached))
        self.attached = ()
        self.spent = (*self.spent, *turn.charges)
