"""What a file of checks may hold: `checks/*.yaml`."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from aivax_cli.gateway.basics import Definition
from aivax_cli.gateway.check_assertion import Assertion, Score, Text
from aivax_cli.gateway.fields import Usd, no_fields, no_items, pattern


class Judge(Definition):
    """Who judges what no rule can: `grounded`, `rubric`, `factual`."""

    gateway: Text
    """The judging gateway, by name."""
    votes: Annotated[int, Field(ge=1, le=9)] = 1
    """How often it is asked; the majority decides. An odd number has no ties."""


class RunSettings(Definition):
    """How the tests of a file are run."""

    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    """Tests that run at once."""
    repeat: Annotated[int, Field(ge=1, le=100)] = 1
    """How often each test is run."""
    min_pass: Annotated[int, Field(ge=1, le=100)] | None = None
    """How many of the repeats must pass; all of them when left out."""
    timeout_s: Annotated[float, Field(gt=0)] = 30.0
    """After this many seconds a test is an error. Does not count in a replay."""

    @model_validator(mode="after")
    def _can_pass(self) -> Self:
        if (self.min_pass or 1) > self.repeat:
            raise PydanticCustomError("min_pass", "min_pass is more than repeat")
        return self


class Limits(Definition):
    """What a single answer may take."""

    usd: Usd | None = None
    """USD, all calls of the turn together."""
    latency_ms: Annotated[float, Field(gt=0)] | None = None
    """Milliseconds from the question to the end of the answer. Not checked in a replay."""
    tokens_out: Annotated[int, Field(ge=1)] | None = None
    """Tokens of the answer."""


class Gate(Definition):
    """What the whole run must reach."""

    pass_rate: Score = 1.0
    """The share of tests that must pass."""
    run_usd: Usd | None = None
    """The most that the run may cost."""
    max_new_failures: Annotated[int, Field(ge=0)] | None = None
    """How many tests may fail that did not fail in the baseline; the pass rate does not count then."""


class Dataset(Definition):
    """Tests from a table."""

    file: Text
    """CSV, JSON or JSONL, relative to this file. A row has the fields of a test; lists in CSV are separated
    by `;`."""


class Retrieve(Definition):
    """What a search must find. Documents are named by path; `*` and `?` stand for anything."""

    must: list[Text] = Field(default_factory=no_items)
    """Documents that must all be found."""
    any: list[Text] = Field(default_factory=no_items)
    """Documents of which one must be found."""
    must_not: list[Text] = Field(default_factory=no_items)
    """Documents that must not be found."""
    k: Annotated[int, Field(ge=1, le=128)] | None = None
    """Only the first k passages count; the gateway's `top` when left out."""
    first: Text | None = None
    """The document of the best passage."""
    recall: Score | None = None
    """The least share of `must` and `any` among the first k."""
    mrr: Score | None = None
    """The least reciprocal rank of the first right document."""
    ndcg: Score | None = None
    """The least nDCG@k, every document of `must` and `any` counting 1."""
    none_above: Score | None = None
    """No passage may score higher: for questions that the documents do not answer."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        asked = self.model_dump(exclude_defaults=True, exclude={"k"})
        if not asked:
            raise PydanticCustomError(
                "empty_retrieve", "asks for nothing; write must, any, first or the like"
            )
        if not (self.must or self.any) and {"recall", "mrr", "ndcg"} & asked.keys():
            raise PydanticCustomError("no_relevant", "recall, mrr and ndcg need documents in must or any")
        return self


class TestMessage(Definition):
    """A message of a conversation that a test begins with."""

    role: Literal["user", "assistant"]
    """Who says it."""
    content: Text
    """What is said."""


class CheckTest(Definition):
    """A question, and what must hold of its answer."""

    id: Annotated[
        str,
        pattern(
            r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$", "must be letters, digits, '.', '_' and '-', at most 80"
        ),
    ]
    """The test's name; its own in the file."""
    input: Text | None = None
    """The question."""
    messages: list[TestMessage] | None = None
    """A conversation in its place; the last message is from the user."""
    only: Literal["retrieve"] | None = None
    """`retrieve`: no model is called, only the search is checked."""
    retrieve: Retrieve | None = None
    """What the search must find."""
    expect: list[Assertion] = Field(default_factory=no_items)
    """What must hold of the answer."""
    threshold: Score = 1.0
    """The least weighted share of `expect` that must hold."""
    limits: Limits | None = None
    """What this answer may take, in place of the file's."""
    repeat: Annotated[int, Field(ge=1, le=100)] | None = None
    """How often it is run."""
    min_pass: Annotated[int, Field(ge=1, le=100)] | None = None
    """How many of the repeats must pass."""
    tags: list[Text] = Field(default_factory=no_items)
    """Names by which `--tag` selects it."""
    skip: str | None = None
    """Why it is not run, for now."""
    generated: bool = False
    """Whether `aivax check --generate` wrote it, and nobody has looked at it yet."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.input is None) == (self.messages is None):
            raise PydanticCustomError("no_input", "needs input or messages, one of the two")
        if self.messages is not None and (not self.messages or self.messages[-1].role != "user"):
            raise PydanticCustomError("last_message", "messages must end with one from the user")
        if self.only == "retrieve" and (self.expect or self.retrieve is None):
            raise PydanticCustomError("only_retrieve", "only: retrieve needs retrieve, and no expect")
        if self.retrieve is None and not self.expect:
            raise PydanticCustomError("no_expectation", "checks nothing; write expect or retrieve")
        if self.repeat is not None and (self.min_pass or 1) > self.repeat:
            raise PydanticCustomError("min_pass", "min_pass is more than repeat")
        return self


MatrixValue = str | int | float | bool


class CheckFile(Definition):
    """Tests of a gateway's answers and of what it finds."""

    gateway: Text
    """The gateway under test, by name."""
    judge: Judge | None = None
    """Who judges; needed by `grounded`, `rubric` and `factual`."""
    run: RunSettings = Field(default_factory=RunSettings.model_construct)
    """How often, how many at once, how long."""
    limits: Limits = Field(default_factory=Limits.model_construct)
    """What an answer may take, in every test."""
    gate: Gate = Field(default_factory=Gate.model_construct)
    """What the whole run must reach, for exit code 0."""
    matrix: dict[str, Annotated[list[MatrixValue], Field(min_length=1)]] = Field(default_factory=no_fields)
    """Fields of the gateway and their values: every test is run with every combination. `default` leaves the
    gateway's own value."""
    datasets: list[Dataset] = Field(default_factory=no_items)
    """Further tests, from tables."""
    tests: list[CheckTest] = Field(default_factory=no_items)
    """The tests."""

    @model_validator(mode="before")
    @classmethod
    def _nothing(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("tests") and not data.get("datasets"):
            raise PydanticCustomError("no_tests", "has no tests and no datasets")
        return data
