"""The outside of a turn, recorded or replayed: chat models, rerankers, remote embedders, tools, instructions.

Each stands in for the port it has the shape of, and writes or reads one tape.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Any

from msgspec import to_builtins

from aivax_cli.checks.cassettes import Request, Tape
from aivax_cli.core.errors import ModelError
from aivax_cli.core.ports import ChatModel, EmbeddingEndpoint, RerankEndpoint, ToolBox
from aivax_cli.core.readings import EmbeddingAnswer, RerankScores
from aivax_cli.core.types import (
    Charge,
    ModelCall,
    ModelEnd,
    ModelItem,
    ModelTarget,
    ModelText,
    TokenUsage,
    ToolCall,
    ToolOutcome,
    ToolSpec,
)
from aivax_cli.model.remote_text import RemoteRead, RemoteSource, RemoteTexts


class RecordedChat:
    """Implements `core.ports.ChatModel`."""

    def __init__(self, chat: ChatModel, tape: Tape) -> None:
        self._chat = chat
        self._tape = tape

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelItem, None]:
        """See `core.ports.ChatModel.stream`. A replay raises MissError for what was never recorded."""
        request = chat_request(call)
        if self._tape.replays:
            for item in _items(self._tape.read(request)):
                yield item
            return
        keep = self._tape.recorder(request)
        text: list[str] = []
        try:
            async with aclosing(self._chat.stream(call)) as items:
                async for item in items:
                    if isinstance(item, ModelText):
                        text.append(item.text)
                    elif isinstance(item, ModelEnd):
                        keep({"text": "".join(text), "end": _end(item)})
                    yield item
        except ModelError as error:
            keep({"text": "".join(text), "error": _told(error)})
            raise


class RecordedReranker:
    """Implements `core.ports.RerankEndpoint`."""

    def __init__(self, endpoint: RerankEndpoint, tape: Tape) -> None:
        self._endpoint = endpoint
        self._tape = tape

    async def scores(self, target: ModelTarget, question: str, texts: Sequence[str]) -> RerankScores:
        """See `core.ports.RerankEndpoint.scores`."""
        request = Request("rerank", {"model": target.name, "question": question, "texts": list(texts)})
        if self._tape.replays:
            response = _response(self._tape, request)
            return RerankScores(tuple(response["scores"]), response["tokens"])
        keep = self._tape.recorder(request)
        try:
            answer = await self._endpoint.scores(target, question, texts)
        except ModelError as error:
            keep({"error": _told(error)})
            raise
        keep({"scores": list(answer.scores), "tokens": answer.tokens})
        return answer


class RecordedEmbeddings:
    """Implements `core.ports.EmbeddingEndpoint`. `model` tells embedders apart."""

    def __init__(self, endpoint: EmbeddingEndpoint, model: str, tape: Tape) -> None:
        self._endpoint = endpoint
        self._model = model
        self._tape = tape

    def embed(self, texts: Sequence[str]) -> EmbeddingAnswer:
        """See `core.ports.EmbeddingEndpoint.embed`."""
        request = Request("embedding", {"model": self._model, "texts": list(texts)})
        if self._tape.replays:
            response = _response(self._tape, request)
            vectors = tuple(base64.b64decode(vector) for vector in response["vectors"])
            return EmbeddingAnswer(vectors, response["tokens"])
        keep = self._tape.recorder(request)
        try:
            answer = self._endpoint.embed(texts)
        except ModelError as error:
            keep({"error": _told(error)})
            raise
        vectors_64 = [base64.b64encode(vector).decode() for vector in answer.vectors]
        keep({"vectors": vectors_64, "tokens": answer.tokens})
        return answer


class RecordedTools:
    """Implements `core.ports.ToolBox`. In a replay no server is started and nothing is called."""

    def __init__(self, tools: ToolBox, tape: Tape) -> None:
        self._tools = tools
        self._tape = tape

    async def specs(self) -> tuple[ToolSpec, ...]:
        """See `core.ports.ToolBox.specs`."""
        request = Request("tools", {})
        if self._tape.replays:
            return tuple(ToolSpec(**spec) for spec in self._tape.read(request)["specs"])
        keep = self._tape.recorder(request)
        specs = await self._tools.specs()
        keep({"specs": to_builtins(specs)})
        return specs

    def warnings(self) -> tuple[str, ...]:
        """See `core.ports.ToolBox.warnings`."""
        return () if self._tape.replays else self._tools.warnings()

    async def run(self, call: ToolCall) -> ToolOutcome:
        """See `core.ports.ToolBox.run`."""
        request = Request("tool", {"name": call.name, "arguments": call.arguments})
        if self._tape.replays:
            response = self._tape.read(request)
            return ToolOutcome(response["text"], response["failed"])
        keep = self._tape.recorder(request)
        outcome = await self._tools.run(call)
        keep({"text": outcome.text, "failed": outcome.failed})
        return outcome


class RecordedTexts(RemoteTexts):
    """Instructions from elsewhere. In a replay nothing is fetched, and no copy of another time is used."""

    def __init__(self, texts: RemoteTexts, tape: Tape) -> None:
        self._texts = texts
        self._tape = tape

    async def read(self, sources: Sequence[RemoteSource]) -> RemoteRead:
        """See `model.remote_text.RemoteTexts.read`. Sources are told apart by what messages call them."""
        request = Request("instructions", {"sources": [source.shown for source in sources]})
        if self._tape.replays:
            return RemoteRead(tuple(self._tape.read(request)["texts"]))
        keep = self._tape.recorder(request)
        read = await self._texts.read(sources)
        keep({"texts": list(read.texts)})
        return read


def chat_request(call: ModelCall) -> Request:
    """What the answer of a call depends on: the model and everything that is sent, no address and no key."""
    messages = []
    for message in call.messages:
        fields = to_builtins(message)
        fields["images"] = [_named(image.url) for image in message.images]
        messages.append({name: value for name, value in fields.items() if value not in ((), None, [])})
    body = {
        "model": call.target.name,
        "messages": messages,
        "parameters": dict(call.parameters),
        "tools": to_builtins(call.tools),
    }
    if call.answer_format is not None:
        body["answer_format"] = {"schema": call.answer_format.schema, "strict": call.answer_format.strict}
    return Request("chat", body)


def _named(url: str) -> str:
    """A picture by its hash, an address as it is."""
    return f"sha256:{hashlib.sha256(url.encode()).hexdigest()}" if url.startswith("data:") else url


def _told(error: ModelError) -> dict[str, Any]:
    return {"message": error.message, "fix": error.fix, "status": error.status}


def _response(tape: Tape, request: Request) -> Mapping[str, Any]:
    """The recorded response. Raises the error that was recorded, or MissError."""
    response = tape.read(request)
    _raise_recorded(response)
    return response


def _raise_recorded(response: Mapping[str, Any]) -> None:
    if error := response.get("error"):
        raise ModelError(error["message"], fix=error["fix"], status=error["status"])


def _items(response: Mapping[str, Any]) -> Iterator[ModelItem]:
    """The items of a recorded response, its text in one piece. Raises the error that was recorded."""
    if response["text"]:
        yield ModelText(response["text"])
    _raise_recorded(response)
    end = response["end"]
    usage = end["usage"]
    billed = (
        Charge(each["sku"], each["quantity"], _decimal(each["unit_price_usd"]), each["description"])
        for each in end["billed"]
    )
    yield ModelEnd(
        end["model"],
        end["finish_reason"],
        TokenUsage(**usage) if usage else None,
        tuple(ToolCall(**call) for call in end["tool_calls"]),
        tuple(billed),
        end["broken"],
    )


def _end(item: ModelEnd) -> dict[str, Any]:
    fields: dict[str, Any] = to_builtins(item)
    return fields


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
