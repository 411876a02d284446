"""What a chat remembers: its turns, and the gateway that answers them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.cli.attachments import Attachment, with_files
from aivax_cli.core.types import Charge, Conversation, Message, Passage

if TYPE_CHECKING:
    from aivax_cli.core.events import TurnResult
    from aivax_cli.gateway.definition import Gateway
    from aivax_cli.gateway.workspace import Workspace
    from aivax_cli.render.screen import Screen
    from aivax_cli.wiring import GatewayRuntime

INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """A question and what came of it.

    `result` is None for a turn that did not come to its end; `stopped` then says why: `interrupted`, or
    the line of the error. What had come until then is kept: text, terms, passages, charges.
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

    @property
    def messages(self) -> Conversation:
        """The turn as later turns see it; nothing when there was no answer, as roles must alternate."""
        if not self.text.strip():
            return ()
        asked = with_files(Message("user", self.question), self.attachments)
        return (asked, Message("assistant", self.text))


@dataclass(slots=True)
class Chat:
    """A chat under way."""

    screen: Screen
    workspace: Workspace
    runtime: GatewayRuntime
    directory: Path
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

    def conversation(self, question: str) -> Conversation:
        """What a turn on this question is given."""
        before = [message for turn in self.turns for message in turn.messages]
        return (*before, with_files(Message("user", question), self.attached))

    def add(self, turn: ChatTurn) -> None:
        """Keeps a turn, with what was attached to its question."""
        self.turns = (*self.turns, replace(turn, attachments=self.attached))
        self.attached = ()
        self.spent = (*self.spent, *turn.charges)
