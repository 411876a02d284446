"""The parts of a gateway apart from its knowledge: sampling, routing, rewriting, limits, tools."""

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, JsonValue, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from aivax_cli.gateway.basics import Definition, ModelRef
from aivax_cli.gateway.fields import (
    BaseUrl,
    CommandWords,
    StopTexts,
    Usd,
    VariableName,
    no_fields,
    no_items,
    on_this_machine,
    pattern,
    text_or_list,
)

FUNCTION_NAME = r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$"
LEVELS = ("low", "medium", "high")


class Parameters(Definition):
    """Sampling parameters, sent to the model as they are. Unset ones are not sent."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """How freely the next word is chosen; 0 takes the likeliest."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Only the likeliest words that together have this probability are considered."""
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Above 0: words that already occurred become less likely."""
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    """Above 0: words become less likely with every time they occurred."""
    seed: int | None = None
    """The same seed gives the same answer, as far as the endpoint can."""
    stop: StopTexts | None = None
    """One text, or a list of texts, at which the answer ends."""
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    """The longest answer, in tokens."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = None
    """How much a reasoning model thinks before it answers."""
    verbosity: Literal["low", "medium", "high"] | None = None
    """How much a model says, for models that can be told."""
    extra_body: dict[str, JsonValue] = Field(default_factory=no_fields)
    """Any further fields of the request body, for endpoints with extensions."""


class Routing(Definition):
    """A small model judges how hard each message is; the model for that level answers it."""

    router: ModelRef
    """Who judges. It is asked for one word."""
    low: ModelRef | None = None
    """Who answers what is easy. A level without a model is answered by the gateway's own."""
    medium: ModelRef | None = None
    """Who answers the rest, and whatever the router is unclear about."""
    high: ModelRef | None = None
    """Who answers what is hard."""
    timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """After this many seconds the level is `medium`."""

    @model_validator(mode="after")
    def _chooses(self) -> Self:
        if self.low is None and self.medium is None and self.high is None:
            raise PydanticCustomError("no_level", "needs a model for at least one of low, medium, high")
        return self


class Rewrite(Definition):
    """The small models that rewrite questions into search terms."""

    models: list[ModelRef] = Field(default_factory=no_items)
    """The pool. The cheapest is used, and among equals the quickest of late. With none, the gateway's own
    model rewrites."""
    price_margin: Annotated[float, Field(ge=0, le=10)] = 0.1
    """Models that cost at most this share more than the cheapest count as equals: 0.1 is 10 %."""
    timeout_s: Annotated[float, Field(gt=0)] = 15.0
    """After this many seconds the plain term is searched instead."""


class RemoteInstructions(Definition):
    """Text that is fetched and added to the system message."""

    url: BaseUrl
    """Where it is. `http://` is allowed on this machine alone."""
    cache_s: Annotated[int, Field(ge=0)] = 600
    """Seconds for which a copy is used before it is fetched again."""
    timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """After this many seconds the last good copy is used, with a warning."""

    @field_validator("url")
    @classmethod
    def _safe(cls, value: str) -> str:
        if value.lower().startswith("http://") and not on_this_machine(value):
            raise PydanticCustomError(
                "remote_url", "must start with https://; http:// is for addresses on this machine alone"
            )
        return value


class Context(Definition):
    """How much of a conversation is sent."""

    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """The most tokens that the messages of a call may come to, counted approximately."""
    overflow: Literal["truncate", "error"] = "truncate"
    """`truncate`: the oldest messages stay out; system messages and the last question stay in. `error`: no
    model is called."""
    tool_results: Annotated[int, Field(ge=0)] | None = None
    """Only this many of the newest tool results keep their text."""


class Serving(Definition):
    """How `aivax serve` answers for a gateway."""

    dialect: Literal["openai", "hosted"] = "openai"
    """How streams end: `openai` with `[DONE]`, `hosted` as those of the hosted service, with the usage in the
    last chunk and `[END]`. A request may say otherwise."""


class Budget(Definition):
    """What may be spent. Checked before every model call, by the worst that the call may cost."""

    usd_per_request: Usd | None = None
    """The most that one request may cost, in USD."""
    usd_per_day: Usd | None = None
    """The most that the gateway may cost in a day (UTC), in USD."""


class CalledTool(Definition):
    """What holds for every kind of tool."""

    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """After this many seconds the call has failed, which the model is told."""
    max_result_chars: Annotated[int, Field(ge=100)] = 20_000
    """What is longer is cut, with a note."""
    confirm: bool = False
    """Whether a person is asked before each call. Without a terminal such a call is refused."""


class McpTools(CalledTool):
    """The tools of an MCP server."""

    mcp: Annotated[
        Annotated[
            str,
            Field(
                pattern=r"^https?://[^\s/]",
                json_schema_extra={
                    "pattern": r"^(https?://[^\s/]|\$\{[A-Za-z_])",
                    "patternErrorMessage": "must be an address with http:// or https://, or a command as a "
                    "list of words",
                },
            ),
            Tag("<text>"),
        ]
        | Annotated[CommandWords, Tag("<list>")],
        Discriminator(
            text_or_list,
            custom_error_type="mcp_form",
            custom_error_message="must be an address, or a command as a list of words",
        ),
    ]
    """Its address (streamable HTTP), or the command that starts it (stdio), as a list of words."""
    only: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = None
    """Names of the tools that are offered; all when left out."""
    env: list[VariableName] = Field(default_factory=no_items)
    """Environment variables that the command may see, beyond PATH, HOME and the like."""
    api_key_env: VariableName | None = None
    """Environment variable whose value is sent as a bearer token, to an address."""


def _no_arguments() -> dict[str, JsonValue]:
    return {"type": "object", "properties": {}}


class HttpTool(CalledTool):
    """A function that an HTTP endpoint carries out."""

    name: Annotated[
        str, pattern(FUNCTION_NAME, "must be letters, digits, '_' and '-', at most 64, the first no digit")
    ]
    """The function's name, as the model sees it."""
    description: Annotated[str, Field(min_length=1)]
    """What it does and when to call it, for the model."""
    url: BaseUrl
    """Where the call is posted."""
    parameters_schema: dict[str, JsonValue] = Field(default_factory=_no_arguments, alias="schema")
    """JSON Schema of the arguments."""
    api_key_env: VariableName | None = None
    """Environment variable whose value is sent as a bearer token."""


def tool_kind(value: object) -> str | None:
    """Whether a tool is an MCP server or an endpoint, by the fields that it has."""
    if isinstance(value, CalledTool):
        return "<mcp>" if isinstance(value, McpTools) else "<http>"
    if not isinstance(value, dict):
        return None
    return "<mcp>" if "mcp" in value else "<http>"


Tool = Annotated[
    Annotated[McpTools, Tag("<mcp>")] | Annotated[HttpTool, Tag("<http>")],
    Discriminator(
        tool_kind,
        custom_error_type="tool_form",
        custom_error_message="must be a mapping with mcp, or with name, description and url",
    ),
]


class Example(Definition):
    """A worked example, sent before the conversation: small models need one or two."""

    user: Annotated[str, Field(min_length=1)]
    """What the user said."""
    assistant: Annotated[str, Field(min_length=1)]
    """What a good answer was."""
