"""What a gateway is: the model from which validation, JSON Schema and reference come.

Its parts are in `sections` and `knowledge`; `aivax.yaml` is in `settings`.
"""

from typing import Annotated, Self

from pydantic import BaseModel, Discriminator, Field, JsonValue, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from aivax_cli.gateway.basics import Definition, InlineModel, ModelRef, Pricing
from aivax_cli.gateway.fields import no_items, pattern
from aivax_cli.gateway.knowledge import Knowledge
from aivax_cli.gateway.sections import (
    Budget,
    Context,
    Example,
    Parameters,
    RemoteInstructions,
    Rewrite,
    Routing,
    Serving,
    Tool,
)

GATEWAY_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"


def model_form(value: object) -> str | None:
    """The tag of a model field's form: a text, a mapping, or a list of these."""
    if isinstance(value, str):
        return "<text>"
    if isinstance(value, (list, tuple)):
        return "<list>"
    return "<mapping>" if isinstance(value, (dict, BaseModel)) else None


ModelRefs = Annotated[
    Annotated[str, Field(min_length=1), Tag("<text>")]
    | Annotated[InlineModel, Tag("<mapping>")]
    | Annotated[list[ModelRef], Field(min_length=1), Tag("<list>")],
    Discriminator(
        model_form,
        custom_error_type="model_form",
        custom_error_message="must be '@provider/name' in quotes, a mapping with base_url and name, "
        "or a list of such",
    ),
]
ResponseSchema = Annotated[
    Annotated[str, Field(min_length=1), Tag("<text>")] | Annotated[dict[str, JsonValue], Tag("<mapping>")],
    Discriminator(
        model_form,
        custom_error_type="schema_form",
        custom_error_message="must be a JSON Schema, the name of a file with one, or a short form",
    ),
]


class Gateway(Definition):
    """A stored inference configuration: model, instructions, parameters and knowledge."""

    id: Annotated[
        str,
        pattern(
            r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
            "must be a UUIDv7 in lower case",
        ),
    ]
    """UUIDv7. `aivax gateways new` makes one; its last four digits are the slug's."""
    name: Annotated[
        str,
        pattern(
            GATEWAY_NAME,
            "must be lower-case letters, digits, '.', '_' and '-', at most 64, the first a letter or digit",
        ),
    ]
    """Short name: lower-case letters, digits, `.`, `_` and `-`."""
    description: str = ""
    """What the gateway is for, in a line; `aivax gateways` shows it."""
    extends: Annotated[str, Field(min_length=1)] | None = None
    """A gateway beside this one, by name or file, whose fields hold wherever this one has none."""
    model: ModelRefs
    """`@provider/name`, or an inline endpoint. Of a list, the next is tried when one fails before its first
    word."""
    instructions: str | None = None
    """The system message."""
    instructions_file: str | None = None
    """A text file with the system message, relative to this file. Excludes `instructions`."""
    remote_instructions: list[RemoteInstructions] = Field(default_factory=no_items)
    """Texts from elsewhere, added to the system message."""
    examples: list[Example] = Field(default_factory=no_items)
    """Worked examples (few-shot), placed after the instructions."""
    prompt_template: str | None = None
    """A template for each user message; must hold `{prompt}`."""
    prefill: str | None = None
    """Text the answer begins with. The endpoint must be one that continues an assistant message."""
    parameters: Parameters = Field(default_factory=Parameters.model_construct)
    """Sampling parameters."""
    knowledge: Knowledge | None = None
    """The collections that ground the answers. Without it the model answers from itself alone."""
    routing: Routing | None = None
    """Chooses the model by how hard the message is."""
    rewrite: Rewrite = Field(default_factory=Rewrite.model_construct)
    """Who rewrites questions into search terms, for the strategies that rewrite."""
    pricing: Pricing | None = None
    """What the model costs; of a list, the first."""
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """After this many seconds without a byte from the answering model a call counts as failed."""
    context: Context = Field(default_factory=Context.model_construct)
    """How long what is sent may be, and what stays out then."""
    response_schema: ResponseSchema | None = None
    """The answer is JSON that holds to this JSON Schema: inline, a file relative to this one, or a short form
    such as `name, age int`."""
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """How often an answer is asked for until it holds to `response_schema`."""
    tools: list[Tool] = Field(default_factory=no_items)
    """What the model may call: MCP servers and HTTP endpoints."""
    max_tool_rounds: Annotated[int, Field(ge=1, le=64)] = 8
    """How many times in one turn the model may call tools and be answered."""
    budget: Budget | None = None
    """What may be spent. Models without a price are refused then."""
    serve: Serving = Field(default_factory=Serving.model_construct)
    """How `aivax serve` answers for it."""
    locked: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=no_items)
    """Fields that nobody may override, dotted: `model`, `parameters.temperature`, or `parameters` whole."""

    @field_validator("prompt_template")
    @classmethod
    def _holds_prompt(cls, value: str | None) -> str | None:
        if value is not None and "{prompt}" not in value:
            raise PydanticCustomError("template", "must contain {prompt}, where the user's message goes")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.instructions is not None and self.instructions_file is not None:
            raise PydanticCustomError("both_instructions", "give instructions or instructions_file, not both")
        return self

    @property
    def models(self) -> tuple[str | InlineModel, ...]:
        """The models in the order in which they are tried."""
        return tuple(self.model) if isinstance(self.model, list) else (self.model,)

    @property
    def slug(self) -> str:
        """`name:final4`."""
        return f"{self.name}:{self.id[-4:]}"
