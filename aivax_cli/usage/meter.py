"""The one way to a model: every call that goes through the meter becomes charges in the ledger."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from decimal import Decimal

from msgspec import Struct, field

from aivax_cli.core.errors import AivaxError
from aivax_cli.core.ports import ChatModel, Ledger, PriceBook, TokenCounter
from aivax_cli.core.types import (
    FREE,
    TOKENS_PER_IMAGE,
    Charge,
    ModelCall,
    ModelEnd,
    ModelItem,
    ModelRetry,
    ModelTarget,
    ModelText,
    Prices,
    TokenUsage,
    ToolCall,
)
from aivax_cli.usage.guard import BudgetGuard
from aivax_cli.usage.pricing import charges, embedding_charge, reranking_charge, split_label

_CHARACTERS_PER_TOKEN = 4


class _Progress(Struct):
    """How far a call has come: what an estimate needs if nobody hears the end of it."""

    text: list[str] = field(default_factory=list)
    asking: bool = False
    """Whether the model is being waited for; False while the consumer holds an item."""
    next_attempt_s: float = 0.0
    """Monotonic time before which nothing is under way, because a failed attempt is followed by a wait."""
    settled: bool = False

    @property
    def request_is_out(self) -> bool:
        return self.asking and time.monotonic() >= self.next_attempt_s


class Meter:
    """Passes a model's stream through and accounts for it, once, however it ends.

    - It ended: by the endpoint's own records, else by its usage at the price book's prices, else by an
      estimate of what was sent and what came.
    - The consumer closed it or was cancelled while the request was out: by such an estimate, because the
      provider bills for what it has begun.
    - It failed before the first text: nothing.

    Estimated lines are marked. A ledger that cannot be written never costs the answer: it becomes a line
    in `warnings`. One meter serves one turn. With a guard no call is made that the budget has no room for.
    """

    def __init__(
        self,
        chat: ChatModel,
        prices: PriceBook,
        counter: TokenCounter,
        ledger: Ledger,
        *,
        turn_id: str,
        gateway: str,
        guard: BudgetGuard | None = None,
    ) -> None:
        self._chat = chat
        self._prices = prices
        self._counter = counter
        self._ledger = ledger
        self._turn_id = turn_id
        self._gateway = gateway
        self._charges: list[Charge] = []
        self._warnings: dict[str, None] = {}
        self._guard = guard
        if guard is not None:
            guard.warn = self._warn

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Every charge so far, in the order of the calls."""
        return tuple(self._charges)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong in accounting so far, each once."""
        return tuple(self._warnings)

    def stream(self, call: ModelCall) -> AsyncGenerator[ModelItem, None]:
        """The items of the model as they are. The charges of a call are there before its ModelEnd is.

        Raises what the model raises, and BudgetError. Closing it closes the model's stream.
        """
        return self._metered(call) if self._guard is None else self._guarded(call, self._guard)

    def require_prices(self, targets: Sequence[ModelTarget], readers: Sequence[ModelTarget] = ()) -> None:
        """Raises BudgetError when there is a budget and nobody has said what one of the models costs.

        `readers` are models that write nothing; the gateway's embedders are known.
        """
        if self._guard is not None:
            self._guard.require_prices(targets, readers)

    def reading(
        self, texts: Sequence[str], reader: ModelTarget | None = None
    ) -> AbstractAsyncContextManager[None]:
        """The block in which a model reads texts and its charge is kept; the gateway's embedders without one.

        Raises BudgetError at its beginning.
        """
        if self._guard is None:
            return nullcontext()
        return self._guard.reading(self._guard.readers if reader is None else (reader,), texts)

    async def _guarded(self, call: ModelCall, guard: BudgetGuard) -> AsyncGenerator[ModelItem, None]:
        async with guard.call(call), aclosing(self._metered(call)) as items:
            async for item in items:
                yield item

    async def _metered(self, call: ModelCall) -> AsyncGenerator[ModelItem, None]:
        progress = _Progress()
        try:
            async with aclosing(self._chat.stream(call)) as items:
                progress.asking = True
                async for item in items:
                    progress.asking = False
                    self._note(call, progress, item)
                    yield item
                    progress.asking = True
                progress.asking = False
        except BaseException as error:
            # A stop from outside (closed, cancelled, Ctrl-C), unlike a failure, leaves a request that is out.
            stopped = not isinstance(error, Exception)
            if progress.text or (stopped and progress.request_is_out):
                self._settle_unheard(call, progress, stopped=stopped)
            raise
        self._settle_unheard(call, progress)

    def embedding(self, sku: str, tokens: int, embedder_name: str, prices: Prices | None = FREE) -> Charge:
        """Accounts for embedding `tokens` tokens and returns the charge; none is kept for 0 tokens.

        Free unless prices are given: the built-in embedder runs on this machine. None means unpriced.
        """
        charge = embedding_charge(sku, tokens, embedder_name, prices)
        if tokens > 0:
            self._keep((charge,), embedder_name)
        return charge

    def reranking(self, target: ModelTarget, question: str, texts: Sequence[str], tokens: int | None) -> None:
        """Accounts for a call of a rerank endpoint that read `tokens` tokens, estimated when it is None.

        Each text is read together with the question.
        """
        count = tokens
        if count is None:
            counted = (self._count("".join(texts), target.name), self._count(question, target.name))
            count = counted[0] + len(texts) * counted[1]
        line = reranking_charge(
            count, self._prices.input_prices(target), target.label, estimated=tokens is None
        )
        if count > 0:
            self._keep((line,), target.label)

    def _count(self, text: str, model: str) -> int:
        try:
            return self._counter.count_text(text, model)
        except AivaxError as error:
            self._warn(f"tokens are estimated from characters: {error}")
            return _by_length(text)

    def _note(self, call: ModelCall, progress: _Progress, item: ModelItem) -> None:
        match item:
            case ModelText(text):
                progress.text.append(text)
            case ModelRetry(wait_s=wait_s):
                progress.next_attempt_s = time.monotonic() + wait_s
            case ModelEnd():
                self._settle(call, progress, item)

    def _settle(self, call: ModelCall, progress: _Progress, end: ModelEnd) -> None:
        progress.settled = True
        label = _served_label(call, end.model)
        if end.billed:
            self._keep(end.billed, label)
            return
        usage = end.usage or self._estimate(call, progress.text, end.tool_calls)
        prices = self._prices.prices(call.target, end.model or None)
        self._keep(charges(call.purpose, usage, prices, label), label)

    def _settle_unheard(self, call: ModelCall, progress: _Progress, *, stopped: bool = False) -> None:
        """For a stream whose end nobody heard, if it is one. Awaits nothing: the generator may be closing.

        Somebody who has `stopped` it waits for the prompt: counting might load the encoding's tables first,
        or even fetch them, so the estimate is by length.
        """
        if progress.settled:
            return
        progress.settled = True
        label = call.target.label
        usage = _rough_usage(call, progress.text, ()) if stopped else self._estimate(call, progress.text, ())
        self._keep(charges(call.purpose, usage, self._prices.prices(call.target), label), label)

    def _estimate(self, call: ModelCall, text: Iterable[str], tool_calls: Sequence[ToolCall]) -> TokenUsage:
        model = call.target.name
        tools, answer = _tools_text(call), _answer_text(text, tool_calls)
        try:
            sent = self._counter.count_messages(call.messages, model) + _images_tokens(call)
            sent += self._counter.count_text(tools, model) if tools else 0
            came = self._counter.count_text(answer, model) if answer else 0
        except AivaxError as error:
            self._warn(f"tokens are estimated from characters: {error}")
            return _rough_usage(call, text, tool_calls)
        return TokenUsage(sent, 0, came, estimated=True)

    def _keep(self, lines: Sequence[Charge], model: str) -> None:
        self._charges.extend(lines)
        spent = sum((line.amount_usd for line in lines if line.amount_usd is not None), Decimal(0))
        if self._guard is not None:
            self._guard.spent.usd += spent
        try:
            self._ledger.record(lines, turn_id=self._turn_id, gateway=self._gateway, model=model)
        except AivaxError as error:
            if self._guard is not None:
                self._guard.spent.unkept_usd += spent
            self._warn(f"this cost is not in the ledger: {error}")

    def _warn(self, message: str) -> None:
        self._warnings[message] = None


def _served_label(call: ModelCall, served: str) -> str:
    """The label of the model that answered: its own if it is `@provider/name`, else the one asked for."""
    provider, _ = split_label(served)
    return served if provider else call.target.label


def _rough_usage(call: ModelCall, text: Iterable[str], tool_calls: Sequence[ToolCall]) -> TokenUsage:
    """What was sent and what came, estimated from characters alone."""
    sent = _by_length(_tools_text(call) + "".join(message.content for message in call.messages))
    sent += _images_tokens(call)
    return TokenUsage(sent, 0, _by_length(_answer_text(text, tool_calls)), estimated=True)


def _tools_text(call: ModelCall) -> str:
    """What is sent beside the messages: the tools, and the request for an answer in a format."""
    wanted = call.answer_format.request if call.answer_format else ""
    return wanted + "".join(f"{tool.name}{tool.description}{json.dumps(tool.schema)}" for tool in call.tools)


def _images_tokens(call: ModelCall) -> int:
    """Images by their number: the length of their bytes says nothing."""
    return TOKENS_PER_IMAGE * sum(len(message.images) for message in call.messages)


def _answer_text(text: Iterable[str], tool_calls: Sequence[ToolCall]) -> str:
    return "".join(text) + "".join(made.name + made.arguments for made in tool_calls)


def _by_length(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)
