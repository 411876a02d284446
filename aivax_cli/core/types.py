"""The values that flow through a turn. All frozen; none does I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from msgspec import Struct, field

JsonValue = str | int | float | bool | None | Sequence["JsonValue"] | Mapping[str, "JsonValue"]

Role = Literal["system", "user", "assistant", "tool"]


class ToolCall(Struct, frozen=True):
    """A call that a model asked for. `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolSpec(Struct, frozen=True):
    """A function offered to a model. `schema` is the JSON Schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, JsonValue]


class Image(Struct, frozen=True):
    """A picture in a message: a `data:` URL with its bytes, or an address that the endpoint fetches."""

    url: str

    @property
    def label(self) -> str:
        """The address; of bytes, only what they are and how many: for everything that people read."""
        if not self.url.startswith("data:"):
            return self.url
        head, _, data = self.url.partition(",")
        return f"{head},… ({len(data) * 3 // 4:,} bytes)"


TOKENS_PER_IMAGE = 1_000
"""What an image is taken to cost where nobody says: OpenAI bills 765 for 1024 by 1024 pixels, Anthropic 1,600
for its largest."""


class Attached(Struct, frozen=True):
    """A document that came with a message: its name and its text."""

    name: str
    text: str


class Message(Struct, frozen=True):
    """One chat message, in the meaning of OpenAI's chat completions.

    `content` is what was said; the texts of `attached` are put above it when a prompt is assembled, so that
    they take no part in a search.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    images: tuple[Image, ...] = ()
    attached: tuple[Attached, ...] = ()


Conversation = tuple[Message, ...]


class SearchTerms(Struct, frozen=True):
    """What a strategy wants searched. `fallback` says why the plain term was used instead, if it was."""

    terms: tuple[str, ...]
    fallback: str | None = None


class Source(Struct, frozen=True):
    """Where a passage stands. Lines and pages count from 1, both ends included."""

    collection: str
    document: str
    heading: str = ""
    first_line: int | None = None
    last_line: int | None = None
    page: int | None = None

    @property
    def place(self) -> str:
        """`docs/a.md:12-30`, `report.pdf p.4` or the document's name alone."""
        if self.page is not None:
            return f"{self.document} p.{self.page}"
        if self.first_line is not None:
            last = self.last_line if self.last_line is not None else self.first_line
            span = f"{self.first_line}" if last == self.first_line else f"{self.first_line}-{last}"
            return f"{self.document}:{span}"
        return self.document


class Passage(Struct, frozen=True):
    """A retrieved chunk. `score` is the calibrated 0-1 scale that users see; `rank` counts from 1.

    `tokens` is the text's length as its collection counts it, 0 where nobody has. `meta` is what an imported
    document came with. `brought` says that another passage brought this one along, whose score it bears.
    `chunk` is its number in the catalogue, `position` its number in the document.
    """

    id: str
    text: str
    source: Source
    score: float
    rank: int
    tokens: int = 0
    meta: Mapping[str, JsonValue] = field(default_factory=dict)
    brought: bool = False
    chunk: int = 0
    position: int | None = None


class RetrievalLimits(Struct, frozen=True):
    """What may come back from a search. `max_tokens` bounds the sum of the passages' tokens.

    With `tags`, only documents that have any of them, or all of them, take part. Each hit brings along its
    `siblings`, or that many `neighbours` on both sides.
    """

    top: int = 5
    min_score: float = 0.2
    reranker: str = "fused"
    max_tokens: int | None = None
    tags: tuple[str, ...] = ()
    match: Literal["any", "all"] = "any"
    siblings: bool = False
    neighbours: int = 0

    @property
    def expands(self) -> bool:
        """Whether hits bring others along."""
        return self.siblings or self.neighbours > 0


class Retrieval(Struct, frozen=True):
    """Passages best first, and what embedding the terms took: an entry for each embedder that was asked.

    `problems` are faults that were got over, a line each.
    """

    passages: tuple[Passage, ...]
    embeddings: tuple[EmbeddingUse, ...] = ()
    problems: tuple[str, ...] = ()


class TokenUsage(Struct, frozen=True):
    """Disjoint token buckets of one model call: uncached input, cached input, output."""

    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.cached_input_tokens + self.output_tokens


class Purpose(StrEnum):
    """Why a model is called. The value is the stem of its SKUs."""

    ANSWER = "inference.chat_completions"
    ROUTE = "inference.resolving.routing_complexity"
    REWRITE = "inference.resolving.query_rewrite"
    STRUCTURED = "inference.functions.json"
    COMPACT = "inference.functions.compact"
    RERANK = "rag.reranking"


EMBED_QUERY_SKU = "rag.embedding.query"
EMBED_INDEX_SKU = "rag.embedding.index"
RERANK_SKU = f"{Purpose.RERANK}.in"


class Prices(Struct, frozen=True):
    """USD per token. A cached price of None means: cached input costs what input costs."""

    input_usd: Decimal
    output_usd: Decimal
    cached_input_usd: Decimal | None = None


FREE = Prices(Decimal(0), Decimal(0), Decimal(0))


class Charge(Struct, frozen=True):
    """One line of cost. `quantity` is in tokens; `unit_price_usd` of None means unpriced, never free."""

    sku: str
    quantity: int
    unit_price_usd: Decimal | None
    description: str
    estimated: bool = False

    @property
    def amount_usd(self) -> Decimal | None:
        return None if self.unit_price_usd is None else self.unit_price_usd * self.quantity


def total_usd(charges: Sequence[Charge]) -> Decimal | None:
    """The sum, or None while any part is unpriced."""
    total = Decimal(0)
    for charge in charges:
        if charge.amount_usd is None:
            return None
        total += charge.amount_usd
    return total


class ModelTarget(Struct, frozen=True):
    """A model and how to reach it. Holds no key: only where the key is to be had.

    `label` is what users write and see (`@openai/gpt-5-mini`). `provider` is "" for an inline model.
    `free` says that nobody bills for it (it runs on the user's own machine).
    """

    label: str
    provider: str
    name: str
    base_url: str
    api_key_env: str | None = None
    api_key_command: tuple[str, ...] | None = None
    free: bool = False
    prices: Prices | None = None


class AnswerFormat(Struct, frozen=True):
    """The JSON that an answer is to be. `schema` is that of an object.

    `strict` says that endpoints which can guarantee a schema may be asked to: every object in it is closed
    and all its fields are required. `request` asks for the same in words, for endpoints without such a field.
    `in_words_only`: the field would be in the way, because the answer has begun already.
    """

    name: str
    schema: Mapping[str, JsonValue]
    strict: bool
    request: str
    in_words_only: bool = False


class ModelCall(Struct, frozen=True):
    """One request to a model. `parameters` are wire fields (`temperature`, `stop`, …)."""

    purpose: Purpose
    target: ModelTarget
    messages: Conversation
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    tools: tuple[ToolSpec, ...] = ()
    answer_format: AnswerFormat | None = None
    impatient: bool = False
    """Another model is next in line: failures are not waited for long before the call is given up."""
    timeout_s: float | None = None
    """Seconds without a byte after which the call has failed; None for the adapter's own."""


class ModelText(Struct, frozen=True):
    """A piece of the answer's text."""

    text: str


class ModelRetry(Struct, frozen=True):
    """A failed attempt before the first token; the next follows after `wait_s` seconds."""

    attempt: int
    reason: str
    wait_s: float


class ModelEnd(Struct, frozen=True):
    """The last item of every stream that began.

    `usage` is None when the endpoint reported none. `billed` holds the endpoint's own
    `generation_context.generated_usage` records. `broken` says why the stream is incomplete.
    """

    model: str
    finish_reason: str | None
    usage: TokenUsage | None
    tool_calls: tuple[ToolCall, ...] = ()
    billed: tuple[Charge, ...] = ()
    broken: str | None = None


class ModelAdapted(Struct, frozen=True):
    """The endpoint does not take a parameter of the call, which went without it, or under another name.

    Comes before the text. `change` says it in a line.
    """

    parameter: str
    change: str


ModelItem = ModelText | ModelRetry | ModelAdapted | ModelEnd


class Trial(Struct, frozen=True):
    """How a model of a pool did once. `seconds` until its whole answer, or until it had failed.

    `problem` says why it failed, "" when it answered. A failed model that is `benched` is left alone for a
    while, `wait_s` seconds at least where its endpoint asked for that.
    """

    seconds: float
    problem: str = ""
    timed_out: bool = False
    benched: bool = False
    wait_s: float | None = None


Level = Literal["low", "medium", "high"]
"""How hard a message is, as a complexity router judges it."""


class ToolOutcome(Struct, frozen=True):
    """What the model gets to see for a tool call. `failed` when the tool did not do what it was asked.

    `refused` when nobody let it run, which whoever was asked has been told.
    """

    text: str
    failed: bool = False
    refused: bool = False


class ToolRun(Struct, frozen=True):
    """A tool call that a turn has carried out, or refused."""

    call: ToolCall
    outcome: ToolOutcome
    duration_s: float


class Timing(Struct, frozen=True):
    """Seconds on a monotonic clock from the start of the turn; None for what did not happen."""

    total_s: float
    first_token_s: float | None
    answering_s: float | None


class EmbeddingUse(Struct, frozen=True):
    """Tokens that an embedder read, and its prices; None: nobody has said what they are."""

    embedder: str
    tokens: int
    prices: Prices | None
