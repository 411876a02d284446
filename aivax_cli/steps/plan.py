"""What a turn is given: the plan, the ports, and the record that its steps keep."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from msgspec import Struct, field

from aivax_cli.core.events import Charged, ContextCut, Event, FellBack, Warned
from aivax_cli.core.ports import ModelPool, RerankEndpoint, Retriever, TokenCounter, ToolBox
from aivax_cli.core.types import (
    Conversation,
    JsonValue,
    Level,
    ModelEnd,
    ModelTarget,
    Passage,
    ToolCall,
    ToolRun,
    ToolSpec,
)
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.knowledge import Knowledge
from aivax_cli.steps.reranking import RerankPlan
from aivax_cli.usage.meter import Meter


class RoutingPlan(Struct, frozen=True):
    """Who judges a message, and who answers at each level: the first, or the next when it fails."""

    router: ModelTarget
    levels: Mapping[Level, tuple[ModelTarget, ...]]
    timeout_s: float


class TurnPlan(Struct, frozen=True):
    """What a gateway comes to once its names are resolved: texts read, models found."""

    gateway: Gateway
    instructions: str | None
    targets: tuple[ModelTarget, ...]
    """Who answers: the first, or the next when it fails before its first word."""
    rewriters: tuple[ModelTarget, ...]
    """Who rewrites: of a pool the one that stands best, else the first, or the next when it fails."""
    reranker: RerankPlan | None = None
    """Who rescores what a search finds; None where the search's own ranking stands."""
    routing: RoutingPlan | None = None
    response_schema: Mapping[str, JsonValue] | None = None
    """The JSON Schema that the answer holds to; None for text."""
    client_tools: tuple[ToolSpec, ...] = ()
    """Functions that whoever asks carries out: a call of one ends the turn."""
    client_parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    """Wire fields that go with the client's tools, such as `tool_choice`; only in a turn's first call."""

    @property
    def knowledge(self) -> Knowledge | None:
        return self.gateway.knowledge

    @property
    def answerers(self) -> tuple[ModelTarget, ...]:
        """Everybody who may answer: the gateway's own models, then those of the levels."""
        levels = self.routing.levels.values() if self.routing else ()
        return tuple(dict.fromkeys((*self.targets, *(each for level in levels for each in level))))

    @property
    def parameters(self) -> dict[str, JsonValue]:
        """The wire fields of the gateway's parameters; `extra_body` last, it wins."""
        fields = dict(self.gateway.parameters)
        further = fields.pop("extra_body")
        return {**{name: value for name, value in fields.items() if value is not None}, **further}


class Ports(Struct, frozen=True):
    """The outside, as one turn sees it. The meter is the turn's own; a retriever needs knowledge."""

    meter: Meter
    counter: TokenCounter
    retriever: Retriever | None = None
    rerank_endpoint: RerankEndpoint | None = None
    tools: ToolBox | None = None
    pool: ModelPool | None = None
    clock: Callable[[], float] = time.perf_counter


class Progress(Struct):
    """What a turn has gathered so far."""

    started: float
    targets: tuple[ModelTarget, ...]
    routed: Level | None = None
    routing_problem: str = ""
    fallbacks: list[FellBack] = field(default_factory=list)
    text: str = ""
    terms: tuple[str, ...] = ()
    passages: tuple[Passage, ...] | None = None
    """None while nothing was searched."""
    tools: list[ToolRun] = field(default_factory=list)
    client_calls: tuple[ToolCall, ...] = ()
    """Calls of the client's tools, with which the turn ends."""
    structured: JsonValue = None
    sent: Conversation = ()
    context_tokens: int | None = None
    cut: ContextCut | None = None
    """What stays out of the latest call."""
    problems: list[str] = field(default_factory=list)
    """What went wrong and was got over, until it is told."""
    adapted: set[str] = field(default_factory=set)
    """Changes of parameters that have been told."""
    charges_told: int = 0
    warnings_told: int = 0
    first_token: float | None = None
    end: ModelEnd | None = None

    def accounts(self, meter: Meter) -> tuple[Event, ...]:
        """The charges and the warnings that have gathered since the last look."""
        charges = meter.charges[self.charges_told :]
        warnings = (*meter.warnings[self.warnings_told :], *self.problems)
        self.charges_told += len(charges)
        self.warnings_told = len(meter.warnings)
        self.problems.clear()
        return (*map(Charged, charges), *map(Warned, warnings))
