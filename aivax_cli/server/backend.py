"""What the server needs of a workspace."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aivax_cli.core.events import Event
from aivax_cli.core.types import Charge, Conversation, ToolSpec


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """A gateway as `/v1/models` lists it. `created` is in seconds since 1970, from its id."""

    name: str
    slug: str
    id: str
    description: str
    created: int


class Turns(Protocol):
    """One gateway with the settings of one request."""

    def turn(self, conversation: Conversation) -> AsyncGenerator[Event, None]:
        """The events of a turn."""
        ...

    @property
    def charges(self) -> tuple[Charge, ...]:
        """What it has cost so far."""
        ...


class Backend(Protocol):
    """The gateways of a workspace, always the last sound state of their files."""

    def gateways(self) -> Sequence[GatewayInfo]:
        """Every sound gateway, by name."""
        ...

    def open(self, reference: str, fields: Mapping[str, object], tools: Sequence[ToolSpec]) -> Turns:
        """A gateway by name, id or slug, with fields changed as a request asks.

        Raises NotFoundError with the nearest name, UsageError for a field that cannot be changed.
        """
        ...
