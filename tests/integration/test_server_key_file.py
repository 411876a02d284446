"""The file of the server's keys: who is admitted, and when."""

from decimal import Decimal

import pytest

from aivax_cli.core.errors import NotFoundError, UsageError
from aivax_cli.server.keys import KeyFile


class Clock:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def keys(tmp_path, clock):
    file = KeyFile(tmp_path / ".aivax" / "keys.db", now=clock)
    yield file
    file.close()


def test_nothing_is_made_before_the_first_key(keys):
    assert (keys.has_keys(), keys.listed(), keys.verified("oky_" + "0" * 72)) == (False, (), None)
    assert not keys.path.exists()


def test_a_key_is_known_again_with_its_limits(keys):
    made, text = keys.new("n", gateways=["a"], requests_per_minute=3, usd_per_day=Decimal("0.10"))
    assert KeyFile(keys.path).verified(text) == made
    assert (len(text), text[:4]) == (76, "oky_")


def test_a_minute_is_any_sixty_seconds(keys, clock):
    key, _ = keys.new("n", requests_per_minute=2)
    admitted = []
    for second in (0, 59, 59.5, 60, 60.5, 119):
        clock.now = 1_000_000.0 + second
        admitted.append(keys.admit(key))
    assert admitted == [None, None, pytest.approx(0.5), None, pytest.approx(58.5), None]


def test_what_is_refused_does_not_count(keys, clock):
    key, _ = keys.new("n", requests_per_minute=1)
    keys.admit(key)
    for _ in range(5):
        clock.now += 10
        keys.admit(key)
    clock.now += 10
    assert keys.admit(key) is None


def test_a_name_is_free_again_once_its_key_is_revoked(keys):
    keys.new("n")
    with pytest.raises(UsageError, match="already"):
        keys.new("n")
    keys.revoke("n")
    keys.new("n")
    assert [key.revoked is None for key in keys.listed()] == [False, True]


def test_a_key_is_revoked_by_its_beginning(keys):
    key, text = keys.new("n")
    assert keys.revoke(key.label).id == key.id
    assert keys.verified(text) is None


def test_revoking_what_is_not_there_names_the_nearest(keys):
    keys.new("laptop")
    with pytest.raises(NotFoundError, match="did you mean 'laptop'"):
        keys.revoke("laptpo")
