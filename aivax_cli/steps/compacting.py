"""A summary of a conversation, by a small model."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from aivax_cli.core.errors import ModelError
from aivax_cli.core.types import Conversation, JsonValue, ModelCall, ModelTarget, Purpose
from aivax_cli.prompt.compacting import read_summary, summary_request
from aivax_cli.steps.asking import Errand, Inquiry
from aivax_cli.usage.meter import Meter

TIMEOUT_S: Final = 120.0
_ERRAND = Errand("summarise the conversation", "summarising the conversation")
_PARAMETERS: dict[str, JsonValue] = {"temperature": 0, "max_completion_tokens": 4_000}


async def compact(
    conversation: Conversation, earlier: str, targets: Sequence[ModelTarget], meter: Meter
) -> str:
    """The summary of a conversation and of its `earlier` summary, by the first of the models that can.

    What it costs is on the meter. Raises ModelError where none can, and BudgetError.
    """
    call = ModelCall(Purpose.COMPACT, targets[0], summary_request(conversation, earlier), _PARAMETERS)
    inquiry = Inquiry(call, tuple(targets), TIMEOUT_S, _ERRAND)
    async with aclosing(inquiry.run(meter)) as retries:
        async for _ in retries:
            pass
    summary = read_summary(inquiry.answer or "")
    if not summary:
        problem = inquiry.problem or f"{inquiry.answered_by} returned no summary"
        raise ModelError(
            f"the conversation stays as it is: {problem}", fix="try again, or name another model"
        )
    return summary
