"""What an HTTP tool's endpoint is sent, and over which addresses a key goes."""

from datetime import datetime

import pytest

from aivax_cli.core.errors import KeyMissingError, ToolError
from aivax_cli.tools.http_tool import bearer_key, request_body, shown_address


def test_a_call_has_the_form_of_the_hosted_services_protocol_functions() -> None:
    body = request_body("view_client", {"user_id": "7"})
    context = body.pop("context")
    assert body == {"type": "tool_call", "function": {"name": "view_client", "content": {"user_id": "7"}}}
    assert isinstance(context, dict)
    assert set(context) == {"externalUserId", "metadata", "callSource", "conversationToken", "moment"}
    assert datetime.fromisoformat(context["moment"]).tzinfo is not None


@pytest.mark.parametrize("url", ["https://example.org/x", "http://127.0.0.1:8/x", "http://localhost/x"])
def test_a_key_goes_over_https_and_within_this_machine(url: str) -> None:
    assert bearer_key(url, "TOOL_KEY", "the tool 'x'", {"TOOL_KEY": "hush"}) == "hush"


def test_a_key_does_not_cross_a_network_in_the_clear() -> None:
    with pytest.raises(ToolError, match=r"not sent over http://.*use https://"):
        bearer_key("http://example.org/x", "TOOL_KEY", "the tool 'x'", {"TOOL_KEY": "hush"})


def test_a_key_that_is_missing_names_its_variable() -> None:
    with pytest.raises(KeyMissingError, match=r"the tool 'x'.*TOOL_KEY"):
        bearer_key("https://example.org/x", "TOOL_KEY", "the tool 'x'", {})


def test_no_key_is_asked_for_where_none_is_named() -> None:
    assert bearer_key("http://example.org/x", None, "the tool 'x'", {}) is None


def test_an_address_is_shown_without_what_may_be_secret() -> None:
    assert shown_address("https://user:pass@example.org:8/a?key=x#f") == "https://example.org:8/a"
