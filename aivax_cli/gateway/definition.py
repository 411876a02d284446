"""What a gateway is: the one model from which validation, JSON Schema and reference come."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

STRATEGIES = ("Plain", "Concatenate", "UserRewrite", "FullRewrite", "QueryFunction")
RERANKERS = ("fused", "rrf", "none")

StrategyName = Literal["Plain", "Concatenate", "UserRewrite", "FullRewrite", "QueryFunction"]
RerankerName = Literal["fused", "rrf", "none"]


def canonical_strategy(value: object) -> object:
    """`full-rewrite`, `full_rewrite`, `FULLREWRITE` → `FullRewrite`; anything else as it is."""
    if not isinstance(value, str):
        return value
    folded = value.replace("-", "").replace("_", "").lower()
    return next((name for name in STRATEGIES if name.lower() == folded), value)


class Definition(BaseModel):
    """Base of everything read from YAML: frozen, and no unknown field passes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class InlineModel(Definition):
    """An OpenAI-compatible endpoint that no provider table names."""

    base_url: Annotated[str, Field(pattern=r"^https?://")]
    """Root of the API, the part before `/chat/completions`, e.g. `http://localhost:11434/v1`."""
    name: Annotated[str, Field(min_length=1)]
    """The model's name as the endpoint knows it."""
    api_key_env: str | None = None
    """Environment variable that holds the key."""
    api_key_command: list[str] | None = None
    """Command, as a list of words, whose first output line is the key."""


class Parameters(Definition):
    """Sampling parameters, sent to the model as they are. Unset ones are not sent."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    """One text, or a list of texts, at which the answer ends."""
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high"] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    extra_body: dict[str, JsonValue] = Field(default_factory=dict)
    """Any further fields of the request body, for endpoints with extensions."""


class Knowledge(Definition):
    """The collections that ground the answers, and how they are searched."""

    collections: Annotated[list[str], Field(min_length=1)]
    """Names of collections, searched together."""
    strategy: Annotated[StrategyName, BeforeValidator(canonical_strategy)] = "Plain"
    """How the conversation becomes search terms. Any case; `-` and `_` are allowed."""
    window: Annotated[int, Field(ge=1, le=64)] = 3
    """N of the strategies that look back: the last N user messages; FullRewrite: the last 2·N of both."""
    top: Annotated[int, Field(ge=1, le=128)] = 5
    """The most passages attached."""
    min_score: Annotated[float, Field(ge=0, le=0.99)] = 0.2
    """Passages under this calibrated score (0 = unrelated, 1 = identical) are left out."""
    reranker: RerankerName = "fused"
    """How vector and lexical results become one ranking."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """The most tokens of passages attached."""
    attach: Literal["message", "prepend"] = "message"
    """`message`: passages are a user message of their own before the question. `prepend`: they stand above
    the question in the same message, which small models understand better."""
    max_rounds: Annotated[int, Field(ge=1, le=32)] = 5
    """QueryFunction only: how many times the model may search in one turn."""


class Rewrite(Definition):
    """The small models that rewrite questions into search terms."""

    models: list[str | InlineModel] = Field(default_factory=list)
    """The pool. The first one is used; with none, the gateway's own model rewrites."""
    timeout_s: Annotated[float, Field(gt=0)] = 15.0
    """After this many seconds the plain term is searched instead."""


class Pricing(Definition):
    """What the model costs, in USD per million tokens. Wins over the built-in price table."""

    input: Annotated[Decimal, Field(ge=0)]
    output: Annotated[Decimal, Field(ge=0)]
    cached_input: Annotated[Decimal, Field(ge=0)] | None = None
    """Input that the endpoint had cached; costs as `input` when left out."""


class Example(Definition):
    """A worked example, sent before the conversation: small models need one or two."""

    user: Annotated[str, Field(min_length=1)]
    assistant: Annotated[str, Field(min_length=1)]


class Gateway(Definition):
    """A stored inference configuration: model, instructions, parameters and knowledge."""

    id: Annotated[
        str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
    ]
    """UUIDv7. `aivax gateways new` makes one; its last four digits are the slug's."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    """Short name: lower-case letters, digits, `.`, `_` and `-`."""
    description: str = ""
    model: str | InlineModel
    """`@provider/name`, or an inline endpoint."""
    instructions: str | None = None
    """The system message."""
    instructions_file: str | None = None
    """A text file with the system message, relative to this file. Excludes `instructions`."""
    examples: list[Example] = Field(default_factory=list)
    """Worked examples (few-shot), placed after the instructions."""
    prompt_template: str | None = None
    """A template for each user message; must hold `{prompt}`."""
    prefill: str | None = None
    """Text the answer begins with. The endpoint must be one that continues an assistant message."""
    parameters: Parameters = Field(default_factory=Parameters)
    knowledge: Knowledge | None = None
    rewrite: Rewrite = Field(default_factory=Rewrite)
    pricing: Pricing | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Gateway:
        if self.instructions is not None and self.instructions_file is not None:
            raise ValueError("give instructions or instructions_file, not both")
        if self.prompt_template is not None and "{prompt}" not in self.prompt_template:
            raise ValueError("prompt_template must contain {prompt}")
        return self

    @property
    def slug(self) -> str:
        """`name:final4`."""
        return f"{self.name}:{self.id[-4:]}"
