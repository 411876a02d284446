"""An answer that holds to the gateway's response schema: asked for until it does, or until it is enough."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from aivax_cli.core.errors import StructureError
from aivax_cli.core.events import AnswerRejected, Event, TextDelta, ToolCalled
from aivax_cli.core.types import Conversation, JsonValue, Message, Purpose
from aivax_cli.prompt.schema_wire import answer_format
from aivax_cli.prompt.structured import Accepted, Rejected, ask_again, canonical, judged
from aivax_cli.steps.answering import Thread, answer_rounds, begun
from aivax_cli.steps.plan import Ports, Progress, TurnPlan
from aivax_cli.strategy import Strategy

_NAMED = 10
"""Problems of the last answer that the error names."""


async def structured_answer(
    plan: TurnPlan,
    strategy: Strategy,
    conversation: Conversation,
    ports: Ports,
    progress: Progress,
) -> AsyncGenerator[Event, None]:
    """Tells what is called and rejected on the way, then the sound answer as one piece of JSON text.

    What rejected attempts say is not told. Tools are called before the first whole answer alone; an answer
    that broke off is asked for as before. Raises StructureError when no attempt of `max_attempts` holds to
    the schema.
    """
    schema: Mapping[str, JsonValue] = plan.response_schema or {}
    prefill = plan.gateway.prefill or ""
    wanted = answer_format(plan.gateway.name, schema, begun=bool(prefill))
    thread = await begun(plan, strategy, conversation, ports, progress, Purpose.STRUCTURED, wanted)
    attempts = plan.gateway.max_attempts
    asked: Conversation | None = None
    problems: tuple[str, ...] = ()
    for attempt in range(1, attempts + 1):
        async with aclosing(_attempt(thread, plan, ports, progress)) as answering:
            async for event in answering:
                yield event
        if progress.client_calls:
            return
        said, progress.text = progress.text, ""
        verdict = _verdict(said, schema, prefill, progress)
        if isinstance(verdict, Accepted):
            progress.structured = verdict.value
            progress.text = canonical(verdict.value)
            yield TextDelta(progress.text)
            return
        problems = verdict.problems
        yield AnswerRejected(attempt, attempts, problems)
        if _broken(progress) is not None:
            continue
        if asked is None:
            asked = thread.messages
        thread.messages = _asked_again(asked, said, problems, prefill)
        thread.rounds = 0
    raise _given_up(attempts, problems, broken=_broken(progress) is not None)


async def _attempt(
    thread: Thread, plan: TurnPlan, ports: Ports, progress: Progress
) -> AsyncGenerator[Event, None]:
    """One attempt, told but for its text: what was said after the last tool is left in `progress`."""
    progress.text = said = ""
    async with aclosing(answer_rounds(thread, plan, ports, progress)) as answering:
        async for event in answering:
            if isinstance(event, TextDelta):
                said += event.text
                continue
            if isinstance(event, ToolCalled):
                said = ""
            yield event
    progress.text = said


def _verdict(
    said: str, schema: Mapping[str, JsonValue], prefill: str, progress: Progress
) -> Accepted | Rejected:
    """A part of an answer is none: mended, it would be sound and yet not all of it."""
    broken = _broken(progress)
    if broken is not None:
        return Rejected((f"it broke off: {broken}",))
    cut = progress.end is not None and progress.end.finish_reason == "length"
    verdict = judged(said, schema, prefill=prefill, whole=not cut)
    if isinstance(verdict, Rejected) and cut:
        return Rejected(("it was cut off at the limit of its length (max_completion_tokens)",))
    return verdict


def _broken(progress: Progress) -> str | None:
    """Why the latest answer broke off, None when it came to an end."""
    return progress.end.broken if progress.end else "it has no end"


def _asked_again(asked: Conversation, said: str, problems: Sequence[str], prefill: str) -> Conversation:
    """The thread with the latest answer and what is wrong with it; a prefill still stands last."""
    before = asked[:-1] if prefill and asked[-1] == Message("assistant", prefill) else asked
    begun = asked[len(before) :]
    retort = Message("user", ask_again(problems))
    return (*before, *((Message("assistant", said),) if said.strip() else ()), retort, *begun)


def _given_up(attempts: int, problems: tuple[str, ...], *, broken: bool) -> StructureError:
    more = len(problems) - _NAMED
    named = "; ".join((*problems[:_NAMED], f"and {more} more") if more > 0 else problems)
    tried = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    simpler = "raise max_attempts, simplify response_schema, or use another model"
    return StructureError(
        f"no answer held to the response schema in {tried}: {named}",
        fix="try again, or use another model" if broken else simpler,
    )
