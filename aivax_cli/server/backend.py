"""What the server needs of a workspace."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from aivax_cli.core.events import Event
from aivax_cli.core.types import Charge, Conversation

if TYPE_CHECKING:
    from starlette.requests import Request

    from aivax_cli.server.requests import ChatRequest
    from aivax_cli.usage.answers import Claim


class GatewayInfo(Struct, frozen=True):
    """A gateway as `/v1/models` lists it. `created` is in seconds since 1970, from its id."""

    name: str
    slug: str
    id: str
    description: str
    created: int


class Turns(Protocol):
    """One gateway with the settings of one request."""

    @property
    def name(self) -> str:
        """The gateway's name."""
        ...

    @property
    def model(self) -> str:
        """Who is asked first, as users write it: `@openai/gpt-5-mini`."""
        ...

    def turn(self, conversation: Conversation) -> AsyncGenerator[Event, None]:
        """The events of a turn."""
        ...

    async def settled(self, *, alone: bool = False) -> None:
        """Waits, for a while, until what the turn has cost is kept. `alone`: there is no other turn now."""
        ...

    @property
    def hosted_dialect(self) -> bool:
        """Whether its streams end as the hosted service's, unless a request says otherwise."""
        ...

    @property
    def charges(self) -> tuple[Charge, ...]:
        """What it has cost so far."""
        ...


class Answers(Protocol):
    """Answers by their idempotency key; see `usage.answers.KeptAnswers`."""

    def claim(self, owner: str, key: str, body: bytes) -> Claim: ...

    def keep(self, owner: str, key: str, answer: str) -> None: ...

    def release(self, owner: str, key: str) -> None: ...


class Backend(Protocol):
    """The gateways of a workspace, always the last sound state of their files."""

    @property
    def answers(self) -> Answers: ...

    @property
    def image_hosts(self) -> Sequence[str]:
        """Hosts that images are fetched from, as `images.is_allowed` takes them."""
        ...

    def gateways(self) -> Sequence[GatewayInfo]:
        """Every sound gateway, by name."""
        ...

    def open(self, asked: ChatRequest) -> Turns:
        """The gateway that is asked, by name, id or slug, with its fields changed as the request wants it.

        Raises NotFoundError with the nearest name, UsageError for a field that cannot be changed.
        """
        ...

    async def load(self) -> None:
        """Loads what the gateways search with: embedder and indexes."""
        ...


def backend_of(request: Request) -> Backend:
    """The workspace as whoever asks may see it; all of it where nothing stands between."""
    visible = request.scope.get("state", {}).get("visible")
    backend: Backend = request.app.state.backend if visible is None else visible.backend
    return backend
