"""`store:` in `aivax.yaml`."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from aivax_cli.gateway.settings import StoreSettings, WorkspaceSettings


def test_an_address_is_enough():
    store = WorkspaceSettings.model_validate({"store": {"url": "http://localhost:8000"}}).store
    assert store == StoreSettings(
        url="http://localhost:8000", tenant="default_tenant", database="default_database", api_key_env=None
    )
    assert WorkspaceSettings().store is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://api.trychroma.com/", "https://api.trychroma.com"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://proxy.example/chroma/eu/", "https://proxy.example/chroma/eu"),
    ],
)
def test_addresses_of_every_form_are_taken(given, kept):
    assert StoreSettings(url=given).url == kept


@pytest.mark.parametrize(
    "given",
    [
        "localhost:8000", "ftp://host", "http://", "http://:8000", "http://host:99999", "http://host:x",
        "http://user:word@host", "http://host?token=x", "http://host/#part", "http://[::1", "http://a b",
    ],
)  # fmt: skip
def test_what_cannot_be_called_is_no_address(given):
    with pytest.raises(ValidationError, match="url"):
        StoreSettings(url=given)


@pytest.mark.parametrize("more", [{"tenant": "a/b"}, {"database": "ab"}, {"tenant": "../../x"}, {"key": "x"}])
def test_names_that_would_change_the_path_and_unknown_fields_are_refused(more):
    with pytest.raises(ValidationError):
        StoreSettings(url="http://host", **more)


def test_the_key_is_named_never_given():
    assert StoreSettings(url="http://host", api_key_env="CHROMA_API_KEY").api_key_env == "CHROMA_API_KEY"
    with pytest.raises(ValidationError, match="api_key_env"):
        StoreSettings(url="http://host", api_key_env="ck-0123456789abcdef")
