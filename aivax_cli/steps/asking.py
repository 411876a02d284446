"""One short question to a small model, or to the next of a list, within a time for all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.core.errors import AivaxError, BudgetError, KeyMissingError, LedgerError, ModelError
from aivax_cli.core.events import FellBack, Retrying
from aivax_cli.core.ports import ModelPool
from aivax_cli.core.types import ModelCall, ModelEnd, ModelRetry, ModelTarget, ModelText, Trial
from aivax_cli.model.retry import TransientModelError
from aivax_cli.usage.meter import Meter

_LONGEST = 100_000
"""Characters after which a model is no longer listened to; reasoning models write a few thousand."""

_ABOUT_THE_CONTENT = frozenset({400, 413, 422})
"""Statuses by which an endpoint refuses this request, and not the next one."""

_FAIR_SHARE = 0.5
"""Part of the whole time that a model must have had for a timeout to be its own fault."""


class Errand(Struct, frozen=True):
    """What is asked for, in the words of its problems: `rewrite`, `rewriting`."""

    verb: str
    gerund: str


class Inquiry(Struct):
    """A question that never fails the turn: `answer` is None, and `problem` says why.

    Nobody has seen any of the answer before it is whole, so one that breaks off is no answer either and the
    next model is asked. How each did goes to `pool`. `impatient` when something else helps if all fail.
    """

    call: ModelCall
    targets: tuple[ModelTarget, ...]
    timeout_s: float
    errand: Errand
    pool: ModelPool | None = None
    impatient: bool = False
    answer: str | None = None
    answered_by: str = ""
    problem: str = ""
    pool_problem: str = ""
    _failed: Trial | None = None

    async def run(self, meter: Meter) -> AsyncGenerator[Retrying | FellBack, None]:
        """Asks; what it costs is on the meter. Raises BudgetError, and nothing else but cancellation."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for target, following in zip(self.targets, (*self.targets[1:], None), strict=True):
            began = loop.time()
            self.problem = ""
            call = replace(self.call, target=target, impatient=self.impatient or following is not None)
            async with aclosing(self._ask(call, meter, started + self.timeout_s)) as retries:
                async for retry in retries:
                    yield retry
            seconds = loop.time() - began
            self._record(target, seconds, fair=seconds >= self.timeout_s * _FAIR_SHARE)
            failed = self._failed
            if failed is None or failed.timed_out or following is None:
                return
            yield FellBack(target.label, failed.problem, following.label, self.call.purpose)

    async def _ask(self, call: ModelCall, meter: Meter, deadline: float) -> AsyncGenerator[Retrying, None]:
        """Sets `answer`, or `problem` and `_failed`."""
        who, doing = call.target.label, self.errand.gerund
        self.answered_by, self._failed = who, None
        text = ""
        items = meter.stream(call)
        try:
            while True:
                # The time stands still for nobody, but only here may it run out: not while others work.
                async with asyncio.timeout_at(deadline):
                    item = await anext(items, None)
                match item:
                    case None:
                        self.answer = text
                        return
                    case ModelText():
                        text += item.text
                    case ModelRetry():
                        yield Retrying(who, item.attempt, item.reason, item.wait_s)
                    case ModelEnd(broken=str() as reason):
                        self._fail(f"{doing} broke off ({reason})", Trial(0, reason, benched=True))
                        return
                if len(text) > _LONGEST:
                    problem = f"{who} does not stop {doing}"
                    self._fail(problem, Trial(0, problem, benched=True))
                    return
        except TimeoutError:
            problem = f"{who} took longer than {self.timeout_s:g} s to {self.errand.verb}"
            self._fail(problem, Trial(0, problem, timed_out=True, benched=True))
        except BudgetError:
            raise
        except AivaxError as error:
            self._fail(f"{doing} failed ({error})", _trial(error))
        finally:
            await items.aclose()

    def _fail(self, problem: str, trial: Trial) -> None:
        self.problem, self._failed = problem, trial

    def _record(self, target: ModelTarget, seconds: float, *, fair: bool) -> None:
        trial = replace(self._failed or Trial(0), seconds=seconds)
        if self.pool is None or (trial.timed_out and not fair):
            return
        try:
            self.pool.record(target, trial)
        except LedgerError as error:
            self.pool_problem = f"how {target.label} did is not remembered: {error}"


def _trial(error: AivaxError) -> Trial:
    """A failure. A key that is missing costs no time to find out, and a refused content is not the model's
    fault: neither keeps the model away."""
    status = error.status if isinstance(error, ModelError) else None
    blameless = isinstance(error, KeyMissingError) or status in _ABOUT_THE_CONTENT
    wait_s = error.retry_after_s if isinstance(error, TransientModelError) else None
    return Trial(0, str(error), benched=not blameless, wait_s=wait_s)
