"""What a gateway, a collection and a workspace are: the models from which validation, JSON Schema and
reference come."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from aivax_cli.core.types import RetrievalLimits
from aivax_cli.gateway.fields import (
    BaseUrl,
    CommandWords,
    StopTexts,
    Usd,
    VariableName,
    pattern,
    text_or_mapping,
)

GATEWAY_NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
# The index's own rule for names: it maps what its stores do not take.
COLLECTION_NAME = r"^[^\s/\\\x00-\x1f\x7f](?:[^/\\\x00-\x1f\x7f]{0,126}[^\s/\\\x00-\x1f\x7f])?$"

STRATEGIES = ("Plain", "Concatenate", "UserRewrite", "FullRewrite", "QueryFunction")
RERANKERS = ("fused", "rrf", "lexical", "none", "smart")

StrategyName = Literal["Plain", "Concatenate", "UserRewrite", "FullRewrite", "QueryFunction"]
RerankerName = Literal["fused", "rrf", "lexical", "none", "smart"]


def canonical_strategy(value: object) -> object:
    """`full-rewrite`, `full_rewrite`, `FULLREWRITE` → `FullRewrite`; anything else as it is."""
    if not isinstance(value, str):
        return value
    folded = value.replace("-", "").replace("_", "").lower()
    return next((name for name in STRATEGIES if name.lower() == folded), value)


def _strategy_schema() -> dict[str, JsonValue]:
    """Editors complete the canonical names and accept the other spellings."""

    def spelled(name: str) -> str:
        return "[-_]*".join(f"[{letter.upper()}{letter.lower()}]" for letter in name)

    pattern = "|".join(spelled(name) for name in STRATEGIES)
    return {"anyOf": [{"enum": list(STRATEGIES)}, {"type": "string", "pattern": f"^[-_]*({pattern})[-_]*$"}]}


CollectionName = Annotated[
    str,
    pattern(
        COLLECTION_NAME,
        "must be 1 to 128 printable characters without '/' or a space at either end",
    ),
]
StrategyField = Annotated[
    StrategyName, BeforeValidator(canonical_strategy), WithJsonSchema(_strategy_schema())
]


def references_value(value: object) -> object:
    """`neighbours` is 1, `none` is 0; anything that is neither these, `siblings` nor 0 to 8 is refused."""
    named = {"neighbours": 1, "neighbors": 1, "none": 0, "siblings": "siblings"}
    if isinstance(value, str) and value.lower() in named:
        return named[value.lower()]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_NEIGHBOURS:
        return value
    raise PydanticCustomError("references", "must be siblings, neighbours, or a number of chunks from 0 to 8")


MOST_NEIGHBOURS = 8
ReferencesField = Annotated[
    Literal["siblings"] | int,
    BeforeValidator(references_value),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["siblings", "neighbours", "none"]},
                {"type": "integer", "minimum": 0, "maximum": MOST_NEIGHBOURS},
            ]
        }
    ),
]


class Definition(BaseModel):
    """Base of everything read from YAML: frozen, no unknown field passes, an empty field is an absent one."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: Any) -> Any:
        # `parameters:` above lines that are all commented out is None in YAML, and means nothing by it.
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


class InlineModel(Definition):
    """An OpenAI-compatible endpoint that no provider table names."""

    base_url: BaseUrl
    """Root of the API, the part before `/chat/completions`, e.g. `http://localhost:11434/v1`."""
    name: Annotated[str, Field(min_length=1)]
    """The model's name as the endpoint knows it."""
    api_key_env: VariableName | None = None
    """Environment variable that holds the key."""
    api_key_command: CommandWords | None = None
    """Command, as a list of words, whose first output line is the key."""


ModelRef = Annotated[
    Annotated[str, Field(min_length=1), Tag("<text>")] | Annotated[InlineModel, Tag("<mapping>")],
    Discriminator(
        text_or_mapping,
        custom_error_type="model_form",
        custom_error_message="must be '@provider/name' in quotes, or a mapping with base_url and name",
    ),
]


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
    extra_body: dict[str, JsonValue] = Field(default_factory=dict)
    """Any further fields of the request body, for endpoints with extensions."""


class Pricing(Definition):
    """What the model costs, in USD per million tokens. Wins over the built-in price table."""

    input: Usd
    """USD per million tokens of input."""
    output: Usd
    """USD per million tokens of output."""
    cached_input: Usd | None = None
    """Input that the endpoint had cached; costs as `input` when left out."""


class Rerank(Definition):
    """The model of `reranker: smart`, which reads the best passages and puts them into a new order."""

    model: ModelRef | None = None
    """Who reads them. Without one: the rewrite model, else the gateway's own, asked as `chat`."""
    kind: Literal["chat", "endpoint"] = "chat"
    """`chat`: a chat model, asked for a list of numbers. `endpoint`: `base_url/rerank`; needs `model`."""
    candidates: Annotated[int, Field(ge=2, le=100)] = 30
    """How many passages it reads, the best of `fused`."""
    timeout_s: Annotated[float, Field(gt=0)] = 15.0
    """After this many seconds the order of the search stands."""
    pricing: Pricing | None = None
    """What `model` costs."""

    @model_validator(mode="after")
    def _endpoint_named(self) -> Rerank:
        if self.kind == "endpoint" and self.model is None:
            raise PydanticCustomError("rerank_model", "kind: endpoint needs a model, which serves /rerank")
        return self


class KnowledgeFilter(Definition):
    """Which documents take part in a search."""

    tags: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=64)]
    """Tags of documents, as JSONL gives them in `__tags`."""
    match: Literal["any", "all"] = "any"
    """`any`: a document needs one of the tags. `all`: it needs every one."""


class Knowledge(Definition):
    """The collections that ground the answers, and how they are searched."""

    collections: Annotated[list[CollectionName], Field(min_length=1)]
    """Names of collections, searched together."""
    strategy: StrategyField = "Plain"
    """How the conversation becomes search terms. Any case; `-` and `_` are allowed."""
    window: Annotated[int, Field(ge=1, le=64)] = 3
    """N of the strategies that look back: the last N user messages; FullRewrite: the last 2·N of both."""
    top: Annotated[int, Field(ge=1, le=128)] = 5
    """The most passages found."""
    min_score: Annotated[float, Field(ge=0, le=0.99)] = 0.2
    """Passages under this calibrated score (0 = unrelated, 1 = identical) are left out."""
    reranker: RerankerName = "fused"
    """How vector and lexical results become one ranking. `smart`: a model rescores the best of `fused`."""
    rerank: Rerank | None = None
    """Who rescores; for `reranker: smart` alone."""
    filter: KnowledgeFilter | None = None
    """Only documents with these tags are searched."""
    references: ReferencesField = 0
    """What each passage found brings along. `siblings`: up to `top` others of the same `__ref`, or else of
    the same file. A number N up to 8: the N chunks before it and after it; `neighbours` is 1. 0: nothing."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """The most tokens of passages attached, with what they bring along."""
    attach: Literal["message", "prepend"] = "message"
    """`message`: passages are a user message of their own before the question. `prepend`: they stand above
    the question in the same message, which small models understand better."""
    max_rounds: Annotated[int, Field(ge=1, le=32)] = 5
    """QueryFunction only: how many times the model may search in one turn."""

    @property
    def limits(self) -> RetrievalLimits:
        """What a search may find."""
        return RetrievalLimits(
            top=self.top,
            min_score=self.min_score,
            reranker=self.reranker,
            max_tokens=self.max_tokens,
            tags=tuple(self.filter.tags) if self.filter else (),
            match=self.filter.match if self.filter else "any",
            siblings=self.references == "siblings",
            neighbours=self.references if isinstance(self.references, int) else 0,
        )


class Rewrite(Definition):
    """The small models that rewrite questions into search terms."""

    models: list[ModelRef] = Field(default_factory=list)
    """The pool. The first one is used; with none, the gateway's own model rewrites."""
    timeout_s: Annotated[float, Field(gt=0)] = 15.0
    """After this many seconds the plain term is searched instead."""


class Example(Definition):
    """A worked example, sent before the conversation: small models need one or two."""

    user: Annotated[str, Field(min_length=1)]
    """What the user said."""
    assistant: Annotated[str, Field(min_length=1)]
    """What a good answer was."""


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
    model: ModelRef
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
    """Sampling parameters."""
    knowledge: Knowledge | None = None
    """The collections that ground the answers. Without it the model answers from itself alone."""
    rewrite: Rewrite = Field(default_factory=Rewrite)
    """Who rewrites questions into search terms, for the strategies that rewrite."""
    pricing: Pricing | None = None
    """What the model costs."""

    @field_validator("prompt_template")
    @classmethod
    def _holds_prompt(cls, value: str | None) -> str | None:
        if value is not None and "{prompt}" not in value:
            raise PydanticCustomError("template", "must contain {prompt}, where the user's message goes")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Gateway:
        if self.instructions is not None and self.instructions_file is not None:
            raise PydanticCustomError("both_instructions", "give instructions or instructions_file, not both")
        return self

    @property
    def slug(self) -> str:
        """`name:final4`."""
        return f"{self.name}:{self.id[-4:]}"


class EmbedderModel(Definition):
    """An embedding model behind an endpoint that speaks OpenAI's `/embeddings`."""

    model: ModelRef
    """`@provider/name`, or an inline endpoint."""
    dimensions: Annotated[int, Field(ge=1, le=65536)] | None = None
    """The length of vector to ask for, where the model offers several."""
    query_prefix: str = ""
    """Text put before every question, for models that were trained with one."""
    passage_prefix: str = ""
    """Text put before every chunk, likewise."""
    batch: Annotated[int, Field(ge=1, le=2048)] = 32
    """The most texts in one request."""
    timeout_s: Annotated[float, Field(gt=0)] = 120.0
    """After this many seconds without a byte a request counts as failed, and is tried again."""
    price: Usd | None = None
    """USD per million tokens. Wins over the built-in price table."""


EmbedderRef = Annotated[
    Annotated[Literal["multilingual-e5-small"], Tag("<text>")] | Annotated[EmbedderModel, Tag("<mapping>")],
    Discriminator(
        text_or_mapping,
        custom_error_type="embedder_form",
        custom_error_message="must be multilingual-e5-small, or a mapping with model",
    ),
]


class Collection(Definition):
    """Documents that are searched together. The file is optional: `collections/NAME.yaml`."""

    name: CollectionName | None = None
    """The collection's name; the file's name when left out, and equal to it when given."""
    description: str = ""
    """What the documents are about, in a line."""
    sources: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    """Files and folders that `aivax ingest --collection NAME` reads when none are given, relative to the
    workspace."""
    context: str | None = None
    """Text added to the system message of every gateway that uses the collection."""
    embedder: EmbedderRef = "multilingual-e5-small"
    """The embedding model: the built-in one, or one behind an endpoint. Changing it means ingesting anew."""
    chunk_tokens: Annotated[int, Field(ge=32, le=480)] = 256
    """How finely documents are cut, counted by the embedder's tokenizer. Changing it re-cuts every file."""


class ProviderSettings(Definition):
    """A provider of `aivax.yaml`: a new one, or changes to a built-in one."""

    base_url: BaseUrl | None = None
    """Root of the API. Required for a provider that is not built in. When it replaces a built-in one, name
    the key again too: a key is sent nowhere but where a file says so."""
    api_key_env: VariableName | None = None
    """Environment variable that holds the key."""
    api_key_command: CommandWords | None = None
    """Command, as a list of words, whose first output line is the key."""
    free: bool | None = None
    """Whether nobody bills for its models. When left out: true for endpoints on this machine."""


_PROVIDER_NAME = {
    "pattern": r"^[a-z0-9][a-z0-9._-]{0,31}$",
    "patternErrorMessage": "must be lower-case letters, digits, '.', '_' and '-', at most 32",
}


class WorkspaceSettings(Definition):
    """What `aivax.yaml`, at the root of a workspace, may hold."""

    providers: dict[Annotated[str, Field(pattern=_PROVIDER_NAME["pattern"])], ProviderSettings] = Field(
        default_factory=dict, json_schema_extra={"propertyNames": {**_PROVIDER_NAME}}
    )
    """Providers by name: `@NAME/model` in a gateway then goes to `base_url`."""
