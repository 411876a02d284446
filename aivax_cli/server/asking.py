"""One request's turn: run to its end or given up, measured, and answered from what is kept where it may be.

Every route that asks a gateway goes through here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from aivax_cli.core.events import Event, Finished, TurnResult
from aivax_cli.model.wire import encode
from aivax_cli.server.backend import Answers, Turns, backend_of
from aivax_cli.server.faults import RequestError, status_of
from aivax_cli.server.metrics import Metrics
from aivax_cli.server.requests import ChatRequest
from aivax_cli.server.streaming import ClientGoneError, ended_when_gone

if TYPE_CHECKING:
    from starlette.requests import Request

CLIENT_GONE = 499
"""The status under which nginx, and the metrics here, count a client that went before its answer."""


class Asking(Struct, frozen=True):
    """A gateway that is asked, opened for this request. Raises in `begin` what `Backend.open` raises."""

    request: Request
    asked: ChatRequest
    turns: Turns
    metrics: Metrics

    @classmethod
    def begin(cls, request: Request, asked: ChatRequest) -> Asking:
        backend = backend_of(request)
        metrics: Metrics = request.app.state.metrics
        try:
            return cls(request, asked, backend.open(asked), metrics)
        except Exception as error:
            metrics.done("", status_of(error), 0.0, ())
            raise

    async def events(self) -> AsyncGenerator[Event, None]:
        """The events of the turn. Close it; what the turn cost until then is kept."""
        with self._measured():
            async with aclosing(self.turns.turn(self.asked.conversation)) as events:
                async for each in events:
                    if isinstance(each, Finished):
                        await self.turns.settled(alone=self.metrics.in_flight == 1)
                    yield each

    async def result(self) -> TurnResult:
        """The turn's result. Raises ClientGoneError as soon as nobody waits for it any more."""
        found: TurnResult | None = None
        with self._measured():
            async with ended_when_gone(self.request):
                async with aclosing(self.turns.turn(self.asked.conversation)) as events:
                    async for each in events:
                        if isinstance(each, Finished):
                            found = each.result
                    await self.turns.settled(alone=self.metrics.in_flight == 1)
        if found is None:
            raise RequestError("the turn did not end", 502)
        return found

    @contextmanager
    def _measured(self) -> Iterator[None]:
        began, status = time.perf_counter(), 200
        self.metrics.in_flight += 1
        try:
            yield
        except (GeneratorExit, asyncio.CancelledError, ClientGoneError):
            status = CLIENT_GONE
            raise
        except Exception as error:
            status = status_of(error)
            raise
        finally:
            self.metrics.in_flight -= 1
            self.metrics.done(self.turns.name, status, time.perf_counter() - began, self.turns.charges)


class KeptAnswer:
    """The place of one request's answer under its idempotency key; without a key nothing is kept.

    `answer` is what was answered before.
    """

    def __init__(self, answers: Answers, owner: str, key: str | None) -> None:
        self._answers = answers
        self._owner = owner
        self._key = key
        self.answer: dict[str, Any] | None = None

    @classmethod
    async def of(cls, request: Request, asked: ChatRequest) -> KeptAnswer:
        """Raises RequestError (409) when the key is another request's, or this one is under way."""
        backend = backend_of(request)
        owner: str = request.scope.get("state", {}).get("owner", "")
        kept = cls(backend.answers, owner, asked.idempotency_key)
        await kept._claim(asked)
        return kept

    async def keep(self, answer: dict[str, Any]) -> None:
        """Keeps the answer."""
        if self._key is not None:
            await asyncio.to_thread(self._answers.keep, self._owner, self._key, encode(answer).decode())

    def release(self) -> None:
        """The request came to nothing, and may be sent again. Awaits nothing: it may have been cancelled."""
        if self._key is not None:
            self._answers.release(self._owner, self._key)

    async def _claim(self, asked: ChatRequest) -> None:
        import json

        if self._key is None:
            return
        body = json.dumps(asked.body, sort_keys=True).encode()
        claim = await asyncio.to_thread(self._answers.claim, self._owner, self._key, body)
        if claim.other_body:
            raise RequestError(
                "this idempotency_key was used for another request", 409, param="idempotency_key"
            )
        if not claim.mine and claim.answer is None:
            raise RequestError(
                "the request with this idempotency_key is under way",
                409,
                param="idempotency_key",
                retry_after_s=1,
            )
        if claim.answer is not None:
            self.answer = json.loads(claim.answer)
