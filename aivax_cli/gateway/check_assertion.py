"""What a check may assert of an answer: the items of `expect`."""

import re
from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from aivax_cli.gateway.basics import Definition
from aivax_cli.gateway.fields import Usd, no_fields, pattern, text_or_list

Score = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]


def _compiles(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise PydanticCustomError("regex", f"is no regular expression: {error}") from error
    return text


RegularExpression = Annotated[Text, AfterValidator(_compiles)]

Texts = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[list[Text], Field(min_length=1), Tag("<list>")],
    Discriminator(
        text_or_list,
        custom_error_type="texts_form",
        custom_error_message="must be a text or a list of texts; a number needs quotes",
    ),
]


def texts(value: str | list[str] | None) -> tuple[str, ...]:
    """The texts of a field that takes one or several."""
    return (value,) if isinstance(value, str) else tuple(value or ())


class Range(Definition):
    """A number's bounds, both included."""

    min: Annotated[int, Field(ge=0)] | None = None
    """The least."""
    max: Annotated[int, Field(ge=0)] | None = None
    """The most."""


class JsonPath(Definition):
    """A place in a JSON answer and what must stand there."""

    path: Text
    """Dotted, with indexes: `items[0].name`; `[*]` is every one, of which one must do."""
    equals: JsonValue = None
    """The value."""
    matches: RegularExpression | None = None
    """A regular expression for the value as text."""


class Levenshtein(Definition):
    """How many characters an answer may differ by."""

    to: str
    """The answer expected."""
    max: Annotated[int, Field(ge=0)]
    """The most insertions, deletions and replacements of characters."""


class Similar(Definition):
    """How near an answer's meaning must be, by the built-in embedder."""

    to: Text
    """A text of that meaning."""
    min: Score = 0.8
    """The least calibrated similarity: 0 is unrelated, 1 identical."""


class ToolExpectation(Definition):
    """A tool that must have been called."""

    name: Text
    """Its name."""
    arguments: dict[str, JsonValue] = Field(default_factory=no_fields)
    """Arguments that the call must have had, among others."""


class Rubric(Definition):
    """What the judge looks for."""

    text: Text
    """The question, as a statement that is true of a good answer."""
    min: Score = 0.7
    """The least score that the judge must give."""


def _form(value: object) -> str | None:
    if isinstance(value, str):
        return "<text>"
    return "<mapping>" if isinstance(value, (dict, BaseModel)) else None


RubricField = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[Rubric, Tag("<mapping>")],
    Discriminator(
        _form, custom_error_type="rubric_form", custom_error_message="must be a text, or a mapping with text"
    ),
]
ToolField = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[ToolExpectation, Tag("<mapping>")],
    Discriminator(
        _form, custom_error_type="called_form", custom_error_message="must be a name, or a mapping with name"
    ),
]
SchemaField = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[dict[str, JsonValue], Tag("<mapping>")],
    Discriminator(
        _form,
        custom_error_type="schema_form",
        custom_error_message="must be a JSON Schema, or the name of a file with one",
    ),
]

MODIFIERS = ("weight", "ignore_case")


class Assertion(Definition):
    """One thing that must hold of an answer: exactly one kind, and `weight` and `ignore_case` beside it."""

    model_config = ConfigDict(validate_by_name=False)

    equals: str | None = None
    """The whole answer, apart from space around it."""
    contains: Texts | None = None
    """A text, or all of a list of texts."""
    contains_any: Annotated[list[Text], Field(min_length=1)] | None = None
    """One of these texts."""
    starts_with: Text | None = None
    """The answer's beginning."""
    ends_with: Text | None = None
    """The answer's end."""
    regex: RegularExpression | None = None
    """A regular expression that is found in the answer."""
    words: Range | None = None
    """How many words the answer has."""
    sentences: Range | None = None
    """How many sentences it has."""
    is_json: bool | None = None
    """Whether the whole answer is JSON."""
    json_schema: SchemaField | None = None
    """The answer is JSON that holds to this JSON Schema."""
    json_path: JsonPath | None = None
    """What stands at a place of a JSON answer."""
    levenshtein: Levenshtein | None = None
    """How many characters it may differ by."""
    similar: Similar | None = None
    """How near its meaning must be to a text's."""
    cites: Annotated[list[Text], Field(min_length=1)] | None = None
    """Documents that the answer must cite by number, like [1]; `*` and `?` stand for anything."""
    refusal: bool | None = None
    """Whether the answer refuses, or says that it does not know."""
    finish_reason: Text | None = None
    """Why the model ended: `stop`, `length`, `tool_calls` …"""
    tool_called: ToolField | None = None
    """A tool that was called."""
    tools_in_order: Annotated[list[Text], Field(min_length=1)] | None = None
    """Tools that were called in this order, others between them allowed."""
    search_terms: Texts | None = None
    """Texts that must all occur in what was searched, upper and lower case alike."""
    routed_to: Text | None = None
    """The router's level, or the model that answered."""
    latency_ms: Annotated[float, Field(gt=0)] | None = None
    """The most milliseconds. Not checked in a replay."""
    usd: Usd | None = None
    """The most USD."""
    tokens_out: Annotated[int, Field(ge=1)] | None = None
    """The most tokens of the answer."""
    grounded: Score | None = None
    """The least share of the answer's statements that its passages support, by the judge."""
    rubric: RubricField | None = None
    """A statement that the judge must find true of the answer."""
    factual: Text | None = None
    """A reference answer that the judge must find the answer to agree with."""
    python: Annotated[str, pattern(r"^[^:]+\.py:[A-Za-z_]\w*$", "must be FILE.py:function")] | None = None
    """A function of your own: `check(answer) -> bool, or a text that says what is wrong`."""
    negated: "Assertion | None" = Field(default=None, alias="not")
    """What must not hold."""
    any_of: Annotated[list["Assertion"], Field(min_length=1)] | None = None
    """Of these one must hold."""
    all_of: Annotated[list["Assertion"], Field(min_length=1)] | None = None
    """All of these must hold."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """How much it counts in the test's score."""
    ignore_case: bool = False
    """Whether upper and lower case are alike."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [name for name in self.model_fields_set if name not in MODIFIERS]
        if len(kinds) != 1:
            said = "asserts nothing" if not kinds else "asserts several things"
            raise PydanticCustomError("one_kind", f"{said}; write one kind of assertion for each '-'")
        return self

    @property
    def kind(self) -> str:
        """The name of the field that is given."""
        return next(name for name in self.model_fields_set if name not in MODIFIERS)

    @property
    def parts(self) -> "tuple[Assertion, ...]":
        """The assertions that a group or `not` is made of; none for all others."""
        return (*(self.any_of or ()), *(self.all_of or ()), *((self.negated,) if self.negated else ()))

    def flat(self) -> "Iterator[Assertion]":
        """Itself and everything inside it."""
        yield self
        for part in self.parts:
            yield from part.flat()
