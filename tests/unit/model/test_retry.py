"""When a call is tried again, and after how long."""

from datetime import UTC, datetime

import pytest

from aivax_cli.core.errors import ModelError
from aivax_cli.model.retry import RetryPolicy, TransientModelError, is_transient, retry_after_s

POLICY = RetryPolicy(attempts=6, wait_initial_s=0.5, wait_max_s=3, wait_jitter_s=0.4)


def test_waits_double_up_to_the_limit() -> None:
    waits = [POLICY.wait_s(TransientModelError("x"), n, chance=lambda: 0.0) for n in range(1, 6)]
    assert waits == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_chance_adds_up_to_the_jitter() -> None:
    assert POLICY.wait_s(TransientModelError("x"), 1, chance=lambda: 0.5) == pytest.approx(0.7)


def test_the_endpoint_s_own_wait_is_the_least_that_is_waited() -> None:
    asked = TransientModelError("x", retry_after_s=7.0)
    assert POLICY.wait_s(asked, 1, chance=lambda: 1.0) == pytest.approx(7.4)


def test_the_last_attempt_is_followed_by_none() -> None:
    assert POLICY.wait_s(TransientModelError("x"), 6) is None


def test_an_endpoint_that_asks_for_too_much_is_given_up() -> None:
    assert POLICY.wait_s(TransientModelError("x", retry_after_s=61.0), 1) is None


def test_other_errors_are_given_up() -> None:
    assert POLICY.wait_s(ModelError("x"), 1) is None


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_statuses_that_may_pass(status: int) -> None:
    assert is_transient(status, {})


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_statuses_that_stay(status: int) -> None:
    assert not is_transient(status, {})


def test_the_endpoint_s_advice_has_the_last_word() -> None:
    assert is_transient(400, {"x-should-retry": "true"})
    assert not is_transient(503, {"x-should-retry": " False "})


def test_an_empty_account_does_not_fill_itself() -> None:
    assert not is_transient(429, {}, "insufficient_quota")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_the_wait_that_is_asked_for_is_read(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s(headers, datetime(2026, 11, 21, 12, tzinfo=UTC)) == expected


def test_with_another_model_next_one_quick_retry_is_all() -> None:
    policy = RetryPolicy(wait_jitter_s=0.0).impatient()
    assert policy.wait_s(TransientModelError("503"), 1) == 0.5
    assert policy.wait_s(TransientModelError("503"), 2) is None
    assert policy.wait_s(TransientModelError("429", retry_after_s=1.5), 1) == 1.5
    assert policy.wait_s(TransientModelError("429", retry_after_s=3.0), 1) is None
    assert policy.wait_s(TransientModelError("timeout"), 1, took_s=2.5) is None
