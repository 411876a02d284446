"""Which addresses texts may be fetched from."""

import pytest

from aivax_cli.model.remote_text import address_problem, without_secrets

FAR = "https://example.com/a.txt"
HERE = "http://localhost:8000/a.txt"


@pytest.mark.parametrize(
    ("url", "asked"),
    [(FAR, FAR), (HERE, HERE), ("https://other.example", FAR), (FAR, HERE), ("http://127.0.0.1/b", HERE)],
)
def test_https_and_this_machine_are_asked(url: str, asked: str) -> None:
    assert address_problem(url, asked=asked) is None


@pytest.mark.parametrize("url", ["http://example.com", "ftp://example.com", "file:///etc/passwd", "a.txt"])
def test_nothing_else_is(url: str) -> None:
    assert address_problem(url, asked=url) == "its address is not https"
    assert address_problem(url, asked=FAR) == "it redirects to an address that is not https"


@pytest.mark.parametrize(
    "url", [HERE, "https://localhost/a", "http://127.9.9.9/", "http://[::1]:80/", "https://x.localhost/"]
)
def test_nobody_elses_redirect_leads_into_this_machine(url: str) -> None:
    assert address_problem(url, asked=FAR) == "it redirects to an address on this machine"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://anna:pw@example.com:8443/a.txt?token=t#f", "https://example.com:8443/a.txt"),
        ("http://[", "an address that cannot be read"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
