"""How an endpoint is asked for JSON: by the field `response_format`, in words, or both. Pure.

Sources: OpenAI's guide to structured outputs; the documentation of each endpoint's compatible interface.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec.structs import replace

from aivax_cli.core.types import AnswerFormat, Conversation, JsonValue, Message, ModelCall

Way = Literal["strict", "schema", "object", "words"]
"""`strict`: by a schema that the endpoint guarantees. `schema`: by one that it follows. `object`: as any JSON
object, the schema in words. `words`: in words alone."""

_WAYS: Final[tuple[Way, ...]] = ("strict", "schema", "object", "words")

FIRST_WAYS: Final[Mapping[str, Way]] = {
    # Ignores the field: https://docs.claude.com/en/api/openai-sdk
    "api.anthropic.com": "words",
    # Knows json_object alone: https://api-docs.deepseek.com/guides/json_mode
    "api.deepseek.com": "object",
}
"""By host, where it is not `strict`: a provider whose `base_url` aivax.yaml changes is what it is there."""

_TELL_THE_MODEL: Final = frozenset({"api.openai.com", "generativelanguage.googleapis.com", "api.mistral.ai"})
"""Hosts that guarantee a schema and tell the model of it. Others may only constrain what it writes, which
goes better when it knows (llama.cpp, Ollama), or pass the field over without a word: they are asked in words,
too."""

# Compiled at their first use: most runs do without them.
_COMPLAINT: Final = (
    r"(?i)response_?format|json_?schema|json_?object|json mode|structured.?output|grammar|invalid schema"
)


_TOO_STRICT: Final = r"(?i)strict|additional_?properties|'required'|invalid schema"
"""The field is taken, and this schema is not."""


def way_of(call: ModelCall, found: Way | None) -> Way:
    """How a model is asked, whose endpoint was `found` to take no better way; None: nothing was found yet."""
    first = _first_way(call)
    return first if found is None else max(first, found, key=_WAYS.index)


def _first_way(call: ModelCall) -> Way:
    wanted = call.answer_format
    if wanted is None or wanted.in_words_only:
        return "words"
    way = FIRST_WAYS.get(_host(call), "strict")
    return "schema" if way == "strict" and not wanted.strict else way


def simpler_way(call: ModelCall, way: Way, status: int, body: str) -> Way | None:
    """The next way when the endpoint complains of this one, or None when it complains of something else."""
    if (
        call.answer_format is None
        or status not in (400, 404, 422, 500, 501)
        or not re.search(_COMPLAINT, body)
    ):
        return None
    if way == "strict" and not re.search(_TOO_STRICT, body):
        return "object"
    return _WAYS[_WAYS.index(way) + 1] if way != "words" else None


def with_format(call: ModelCall, way: Way) -> ModelCall:
    """The call with its answer's format as a parameter, as words in its system message, or as both."""
    wanted = call.answer_format
    if wanted is None:
        return call
    field = _field(wanted, way)
    parameters = call.parameters if field is None else {"response_format": field, **call.parameters}
    enough = way in ("strict", "schema") and _host(call) in _TELL_THE_MODEL
    messages = call.messages if enough else requested(call.messages, wanted.request)
    return replace(call, parameters=parameters, messages=messages)


def requested(messages: Conversation, request: str) -> Conversation:
    """The messages with a request at the end of the first system message; one is made where there is none."""
    if messages and messages[0].role == "system":
        first = replace(messages[0], content=f"{messages[0].content}\n\n{request}")
        return (first, *messages[1:])
    return (Message("system", request), *messages)


def _host(call: ModelCall) -> str:
    try:
        return urlsplit(call.target.base_url).hostname or ""
    except ValueError:
        return ""


def _field(wanted: AnswerFormat, way: Way) -> dict[str, JsonValue] | None:
    if way == "words":
        return None
    if way == "object":
        return {"type": "json_object"}
    schema: dict[str, JsonValue] = {"name": wanted.name, "schema": wanted.schema}
    return {"type": "json_schema", "json_schema": schema | ({"strict": True} if way == "strict" else {})}
