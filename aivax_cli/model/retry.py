"""When a failed call is tried again, and after how long. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from msgspec import Struct
from msgspec.structs import replace

from aivax_cli.core.errors import ModelError

# What OpenAI's own SDK tries again, and 425 (too early).
_RETRYABLE_BELOW_500 = frozenset({408, 409, 425, 429})
# A 429 that no waiting mends: the account is empty.
_HOPELESS_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


class TransientModelError(ModelError):
    """A failure that may pass. `retry_after_s` is what the endpoint asked to wait, None if it did not."""

    def __init__(
        self,
        message: str,
        *,
        fix: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, fix=fix, status=status)
        self.retry_after_s = retry_after_s


class RetryPolicy(Struct, frozen=True):
    """How often and how patiently a call is tried again before its first token.

    The wait before attempt n + 1 is `wait_initial_s` · 2^(n-1), at most `wait_max_s`, plus up to
    `wait_jitter_s` by chance. A wait that the endpoint asks for is obeyed instead, with the same jitter; if
    it asks for more than `longest_hint_s`, the call fails at once, since trying earlier would be refused.
    Nor is an attempt repeated that took longer than `longest_attempt_s` to fail.
    """

    attempts: int = 3
    wait_initial_s: float = 0.5
    wait_max_s: float = 8.0
    wait_jitter_s: float = 0.5
    longest_hint_s: float = 60.0
    longest_attempt_s: float = float("inf")

    def impatient(self) -> RetryPolicy:
        """The policy where another model is next: one more attempt, if the first failed within 2 seconds and
        the endpoint does not ask for a longer wait than that."""
        attempts = min(self.attempts, 2)
        return replace(self, attempts=attempts, longest_hint_s=2.0, longest_attempt_s=2.0)

    def wait_s(
        self,
        error: ModelError,
        attempt: int,
        chance: Callable[[], float] = random.random,
        *,
        took_s: float = 0.0,
    ) -> float | None:
        """Seconds until the next attempt after attempt number `attempt` (from 1) failed; None to give up."""
        if not isinstance(error, TransientModelError) or attempt >= self.attempts:
            return None
        if took_s > self.longest_attempt_s:
            return None
        hint = error.retry_after_s
        if hint is not None and hint > self.longest_hint_s:
            return None
        base = min(self.wait_max_s, self.wait_initial_s * 2 ** (attempt - 1)) if hint is None else hint
        return base + self.wait_jitter_s * chance()


def is_transient(status: int, headers: Mapping[str, str], code: str = "") -> bool:
    """Whether an HTTP status may pass by itself; the endpoint's own `x-should-retry` has the last word."""
    advice = headers.get("x-should-retry", "").strip().lower()
    if advice in ("true", "false"):
        return advice == "true"
    if code in _HOPELESS_CODES:
        return False
    return status >= 500 or status in _RETRYABLE_BELOW_500


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """The wait asked for by `retry-after-ms` or `retry-after` (seconds or an HTTP date); None without one.

    Header names are looked up in lower case.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    asked = headers.get("retry-after")
    if asked is None:
        return None
    seconds = _seconds(asked)
    if seconds is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(asked)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def _seconds(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
