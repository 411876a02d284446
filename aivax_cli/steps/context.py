"""A turn's messages, held to the gateway's context limit before every call that answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aivax_cli.core.events import ContextCut
from aivax_cli.core.types import Conversation, Message
from aivax_cli.prompt.context import anatomy, fit, rough_tokens
from aivax_cli.steps.plan import Ports, Progress, TurnPlan


class ContextControl:
    """Holds the messages of one turn to its limit; what `assembled` begins with always stays."""

    def __init__(self, plan: TurnPlan, assembled: Conversation, ports: Ports, progress: Progress) -> None:
        self._limits = plan.gateway.context
        self._parts = anatomy(
            plan.gateway,
            assembled,
            instructed=bool(plan.instructions),
            searched=progress.passages is not None,
        )
        self._ports = ports
        self._progress = progress
        self._counted: dict[tuple[str, Conversation], int] = {}
        self._told = (0, 0)
        self._untold: ContextCut | None = None

    async def held(self, messages: Conversation) -> Conversation:
        """What of the messages is sent; its length, and what stays out, are left in the progress.

        Raises ContextError when they do not fit.
        """
        if self._limits.max_tokens is None:
            fitted = fit(messages, self._parts, self._limits, self._count)
        else:  # in a thread: the encoding's tables may have to be fetched first
            fitted = await asyncio.to_thread(fit, messages, self._parts, self._limits, self._count)
        out = (fitted.messages_out, fitted.results_out)
        cut = ContextCut(*out, fitted.tokens, self._limits.max_tokens) if any(out) else None
        if cut and out != self._told:
            self._untold = cut
        self._told = out
        self._progress.cut = cut
        self._progress.context_tokens = fitted.tokens or rough_tokens(fitted.messages)
        return fitted.messages

    def news(self) -> tuple[ContextCut, ...]:
        """What stays out that has not been told yet."""
        untold, self._untold = self._untold, None
        return () if untold is None else (untold,)

    def _count(self, messages: Sequence[Message]) -> int:
        """Later rounds send the same messages again: each is counted once."""
        model = self._progress.targets[0].name
        key = (model, tuple(messages))
        if key not in self._counted:
            self._counted[key] = self._ports.counter.count_messages(messages, model)
        return self._counted[key]
