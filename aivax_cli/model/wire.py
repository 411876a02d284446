"""The chat-completions format: what is sent, and every shape in which answers come back. Pure.

Format: OpenAI's API reference, "Create chat completion", with the departures that providers were seen
to make; each has a test in `tests/integration/test_wire_quirks.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, DecimalException

import msgspec
from msgspec import Struct

from aivax_cli.core.types import Charge, Message, ModelCall, ModelEnd, TokenUsage, ToolSpec
from aivax_cli.gateway.prefills import sent_prefill
from aivax_cli.model.answer_formats import Way, way_of, with_format
from aivax_cli.model.buckets import billed_charges, merged, token_usage
from aivax_cli.model.tool_calls import ToolCallParts

_END_MARKERS = ("[done]", "[end]")
_TEXTS = ("content", "completion_text", "refusal")
_FINISH_REASONS = {"max_tokens": "length", "end_turn": "stop", "tool_use": "tool_calls"}
# Prices must stay what the endpoint wrote: 7.5e-8 has no exact float.
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_PATIENT_DECODER = json.JSONDecoder(parse_float=Decimal)


class Dialect(Struct, frozen=True):
    """What a model's endpoint was found not to understand of OpenAI's request; `without` names parameters."""

    stream_options: bool = True
    max_completion_tokens: bool = True
    without: frozenset[str] = frozenset()
    answers: Way | None = None


OPENAI = Dialect()


def request_body(call: ModelCall, dialect: Dialect = OPENAI) -> dict[str, object]:
    """The JSON object to POST. Unset (None) parameters are not sent; `extra_body` goes over all, as it is."""
    call = with_format(call, way_of(call, dialect.answers))
    parameters = {
        name: value
        for name, value in call.parameters.items()
        if value is not None and name not in dialect.without
    }
    extra = parameters.pop("extra_body", None)
    if not dialect.max_completion_tokens and "max_completion_tokens" in parameters:
        parameters["max_tokens"] = parameters.pop("max_completion_tokens")
    body: dict[str, object] = {
        "model": call.target.name,
        "messages": _messages(call),
        "stream": True,
    }
    if dialect.stream_options:
        body["stream_options"] = {"include_usage": True}
    if call.tools:
        body["tools"] = [_tool(tool) for tool in call.tools]
    body.update(parameters)
    if isinstance(extra, Mapping):
        body.update(extra)
    return body


def encode(value: object) -> bytes:
    """JSON in UTF-8. Half surrogate pairs, which no UTF-8 can hold, become `?`."""
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        return _PATIENT_ENCODER.encode(value).encode("utf-8", "replace")


def decode(text: str) -> object:
    """Parses JSON, fractions as Decimal. Raises ValueError, also for numbers and depths beyond all reason."""
    try:
        try:
            return _DECODER.decode(text)
        except ValueError:  # it may still be what others write for JSON: NaN, half surrogate pairs
            return _PATIENT_DECODER.decode(text)
    except (DecimalException, RecursionError) as error:
        raise ValueError("a number or a nesting beyond all reason") from error


def value_at(text: str, start: int) -> tuple[object, int]:
    """The JSON value that begins at a place in a text, and where it ends. Raises as `decode` does."""
    try:
        return _PATIENT_DECODER.raw_decode(text, start)
    except (DecimalException, RecursionError) as error:
        raise ValueError("a number or a nesting beyond all reason") from error


def is_end_marker(data: str) -> bool:
    """Whether an event's data is `[DONE]` or `[END]`, which close a stream."""
    return len(data) < 16 and data.strip().lower() in _END_MARKERS


class WireError(Struct, frozen=True):
    """An error object. `status` is its numeric code where that is an HTTP status."""

    message: str
    status: int | None = None
    code: str = ""


def error_in(payload: object) -> WireError | None:
    """The error that a body or an event holds, in the shape of OpenAI, Google, FastAPI or vLLM.

    A payload that has choices and no `error` is none, whatever else it says.
    """
    if isinstance(payload, dict) and payload.get("choices") and not payload.get("error"):
        return None  # as nearly all are
    if isinstance(payload, list) and payload:
        return error_in(payload[0])
    if not isinstance(payload, dict):
        return None
    error = payload.get("error")
    if isinstance(error, dict):
        said = error.get("message") or error.get("detail") or error.get("code") or error.get("type")
        return WireError(_words(said), _status(error.get("code")), _words(error.get("code")))
    if error:
        return WireError(_words(error), _status(payload.get("status") or payload.get("code")))
    said = payload.get("message") or payload.get("detail")
    if said and "choices" not in payload:
        return WireError(_words(said), _status(payload.get("code")), _words(payload.get("code")))
    return None


class AnswerParts:
    """Puts one answer together from its chunks, or from a whole body; says at the end what it was.

    `model` is the name that stands until the endpoint gives another.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._finish: str | None = None
        self._finish_was_early = False
        self._report: Mapping[str, object] = {}
        self._tool_calls = ToolCallParts()
        self._billed: tuple[Charge, ...] = ()
        self._half_pair = ""
        self.answered = False
        self.begun = False

    def add(self, payload: object) -> str:
        """Takes a chunk or a whole completion and returns the text in it, which is often empty.

        `answered` is true once there was a choice, `begun` once there was text or a tool call.
        """
        if not isinstance(payload, dict):
            return ""
        model = payload.get("model")
        if isinstance(model, str) and model:
            self._model = model
        text = ""
        choices = payload.get("choices")
        if isinstance(choices, list) and choices:
            text = self._add_choice(choices)
        self._add_reports(payload, choices)
        return text

    def add_text(self, text: str) -> str:
        """Takes a chunk that differs from an earlier one in its text alone, and returns the text."""
        text = self._paired(text)
        if text:
            self.begun = True
            self._finish_was_early = self._finish_was_early or self._finish is not None
        return text

    def is_whole(self, *, abrupt: bool) -> bool:
        """Whether an answer that closed without an end marker may count as complete.

        A finish reason says so, but not after an abrupt close when more text followed it before: an endpoint
        that puts "stop" on every chunk has not said anything by it.
        """
        if self._finish is None:
            return False
        return not (abrupt and self._finish_was_early and not self._report)

    def end(self, *, broken: str | None = None) -> ModelEnd:
        """The closing item. A broken answer has no tool calls: their arguments may be cut off."""
        if broken is None and self._finish == "error":
            broken = "the endpoint reports an error as its reason to stop"
        return ModelEnd(
            model=self._model,
            finish_reason=self._finish,
            usage=self._usage(),
            tool_calls=() if broken else self._tool_calls.calls(),
            billed=self._billed,
            broken=broken,
        )

    def _usage(self) -> TokenUsage | None:
        return token_usage(self._report)

    def _add_choice(self, choices: list[object]) -> str:
        choice = choices[0]
        if not isinstance(choice, dict) or choice.get("index"):
            choice = next((c for c in choices if isinstance(c, dict) and not c.get("index")), None)
        if choice is None:
            return ""
        self.answered = True
        part = choice.get("delta")
        if not isinstance(part, dict):
            part = choice.get("message")
        if not isinstance(part, dict):
            part = {"content": choice.get("text")}
        fragments = part.get("tool_calls")
        if fragments:
            self._tool_calls.add(fragments)
        text = _text_of(part)
        if text:
            text = self._paired(text)
            self._finish_was_early = self._finish_was_early or bool(text and self._finish)
        if not self.begun and (text or self._tool_calls):
            self.begun = True
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            lower = reason.lower()
            self._finish = _FINISH_REASONS.get(lower, lower)
        return text

    def _add_reports(self, payload: Mapping[str, object], choices: object) -> None:
        reports = [payload.get("usage")]
        groq = payload.get("x_groq")
        if isinstance(groq, dict):
            reports.append(groq.get("usage"))
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            reports.append(choices[0].get("usage"))
        for report in reports:
            if report and isinstance(report, dict):
                self._report = merged(self._report, report)
        context = payload.get("generation_context")
        if isinstance(context, dict):
            self._billed = billed_charges(context.get("generated_usage")) or self._billed

    def _paired(self, text: str) -> str:
        """Joins a surrogate pair that the endpoint cut in two (`\\ud83d` and `\\ude0a` in two chunks)."""
        if text.isascii() and not self._half_pair:
            return text
        text = self._half_pair + text
        self._half_pair = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._half_pair, text = text[-1], text[:-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _messages(call: ModelCall) -> list[dict[str, object]]:
    messages = [_message(message) for message in call.messages]
    if messages and call.messages[-1].role == "assistant" and not call.messages[-1].tool_calls:
        # It has begun, and is to be continued.
        messages[-1].update(sent_prefill(call.messages[-1].content, call.target))
    return messages


def _message(message: Message) -> dict[str, object]:
    wire: dict[str, object] = {"role": message.role, "content": message.content}
    if message.images:
        text = [{"type": "text", "text": message.content}] if message.content else []
        pictures = [{"type": "image_url", "image_url": {"url": image.url}} for image in message.images]
        wire["content"] = [*text, *pictures]
    if message.tool_calls:
        wire["content"] = message.content or None
        wire["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def _tool(tool: ToolSpec) -> dict[str, object]:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
    }


def _plain(value: object) -> object:
    """What `json` does not know by itself: any mapping as an object, Decimal as a number."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number")
_PATIENT_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain)


def _text_of(part: Mapping[str, object]) -> str:
    """The answer's text in a delta or message. Reasoning (`reasoning_content`) is no part of the answer."""
    for name in _TEXTS:
        found = part.get(name)
        text = _flat(found) if found else ""
        if text:
            return text
    return ""


def _flat(content: object) -> str:
    """Text, or the text parts of a list of content parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(
        part if isinstance(part, str) else _flat(part.get("text"))
        for part in content
        if isinstance(part, str)
        or (isinstance(part, dict) and part.get("type") in (None, "text", "output_text"))
    )


def _words(value: object) -> str:
    """An error's message as text; FastAPI's list of faults as `field: fault`."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(_words(item) for item in value)
    if isinstance(value, dict):
        place = value.get("loc")
        where = ".".join(str(step) for step in place) + ": " if isinstance(place, list) else ""
        return where + _words(value.get("msg") or value.get("message") or json.dumps(value, default=str))
    return "" if value is None else str(value)


def _status(code: object) -> int | None:
    if isinstance(code, str) and code.isascii() and code.isdigit():
        code = int(code[:4])
    return code if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600 else None
