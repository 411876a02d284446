"""Which key a request brings, and which hosts are this machine."""

import pytest

from aivax_cli.server.access import given_key, is_local


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([(b"authorization", b"Bearer oky_1")], "oky_1"),
        ([(b"authorization", b"bearer   oky_1 ")], "oky_1"),
        ([(b"x-api-key", b"oky_1")], "oky_1"),
        ([(b"x-api-key", b"oky_1"), (b"authorization", b"Bearer other")], "oky_1"),
        ([(b"authorization", b"Basic b2t5")], None),
        ([(b"authorization", b"Bearer")], None),
        ([(b"authorization", b"Bearer " + b"x" * 257)], None),
        ([(b"x-api-key", b"")], None),
        ([], None),
    ],
)
def test_the_key_of_a_request(headers, key):
    assert given_key(headers) == key


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "app.localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]"]
)
def test_names_of_this_machine(host):
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil.example", "::2", "127.0.0"]
)
def test_other_names_are_not_this_machine(host):
    assert not is_local(host)
