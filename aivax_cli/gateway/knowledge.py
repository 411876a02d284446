"""How documents ground the answers: a gateway's `knowledge`, and the collections that it names."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, JsonValue, Tag, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from aivax_cli.core.types import RetrievalLimits
from aivax_cli.gateway.basics import Definition, ModelRef, Pricing
from aivax_cli.gateway.fields import Usd, no_items, pattern, text_or_mapping

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
    def _endpoint_named(self) -> Self:
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
    sources: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=no_items)
    """Files and folders that `aivax ingest --collection NAME` reads when none are given, relative to the
    workspace."""
    context: str | None = None
    """Text added to the system message of every gateway that uses the collection."""
    embedder: EmbedderRef = "multilingual-e5-small"
    """The embedding model: the built-in one, or one behind an endpoint. Changing it means ingesting anew."""
    chunk_tokens: Annotated[int, Field(ge=32, le=480)] = 256
    """How finely documents are cut, counted by the embedder's tokenizer. Changing it re-cuts every file."""
