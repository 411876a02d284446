"""One call of a model that answers: the first target, or the next when it fails before its first word."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec.structs import replace

from aivax_cli.core.errors import AssetError, BudgetError, KeyMissingError, ModelError, NotFoundError
from aivax_cli.core.events import Event, FellBack, Retrying, TextDelta, Warned
from aivax_cli.core.types import ModelAdapted, ModelCall, ModelEnd, ModelItem, ModelRetry, ModelText
from aivax_cli.gateway.prefills import told_prefill
from aivax_cli.steps.plan import Ports, Progress


async def call_first_of(
    call: ModelCall, prefill: str, ports: Ports, progress: Progress
) -> AsyncGenerator[Event, None]:
    """Tells the retries, the text and the charges of the first of `progress.targets` that answers.

    `call.target` is set to each in turn; those that failed are gone from the progress. A target with another
    after it is called impatiently: tried again once at most, where that is quick. Raises what the last one
    raises. One for which the budget has no room is passed over like one that fails: the next may be cheaper.
    Closing it ends the request under way.
    """
    progress.end = None
    before, progress.sent = progress.sent, call.messages
    said = _Said(progress, prefill, apart="\n\n" if progress.text.strip() else "")
    while True:
        target, *others = progress.targets
        same = target is call.target and not others
        attempt = call if same else replace(call, target=target, impatient=bool(others))
        try:
            async with aclosing(ports.meter.stream(attempt)) as items:
                async for item in items:
                    event = said.event(item, ports)
                    if event is not None:
                        yield event
            break
        except (ModelError, KeyMissingError, AssetError, NotFoundError, BudgetError) as error:
            if not others:
                if isinstance(error, BudgetError):
                    progress.sent = before  # it was not even sent
                raise
            fell = FellBack(target.label, str(error), others[0].label, call.purpose)
        progress.targets = tuple(others)
        progress.fallbacks.append(fell)
        yield fell
    for told in progress.accounts(ports.meter):
        yield told


class _Said:
    """What one call says, as events and in the progress. `apart` separates it from what was said before."""

    def __init__(self, progress: Progress, prefill: str, *, apart: str) -> None:
        self._progress = progress
        self._prefill = prefill
        self._apart = apart

    def event(self, item: ModelItem, ports: Ports) -> Event | None:
        """The event of an item, None where there is nothing to tell."""
        progress = self._progress
        if isinstance(item, ModelText):
            return self._text(item.text, ports) if item.text else None
        if isinstance(item, ModelEnd):
            progress.end = item
            if item.usage is not None:
                progress.context_tokens = item.usage.input_tokens + item.usage.cached_input_tokens
        elif isinstance(item, ModelRetry):
            return Retrying(progress.targets[0].label, item.attempt, item.reason, item.wait_s)
        elif isinstance(item, ModelAdapted) and item.change not in progress.adapted:
            progress.adapted.add(item.change)
            return Warned(item.change)
        return None

    def _text(self, text: str, ports: Ports) -> TextDelta:
        progress = self._progress
        if progress.first_token is None:
            progress.first_token = ports.clock()
        if self._prefill and not progress.text:
            self._apart = told_prefill(self._prefill, progress.targets[0])
        if self._apart:
            text, self._apart = self._apart + text, ""
        progress.text += text
        return TextDelta(text)
