"""What is taken for a key, and what is not."""

import pytest

from aivax_cli.gateway.secrets import looks_secret, names_secret, redact

KEYS = [
    "sk-proj-Abc123def456ghi789jkl",
    "sk-ant-api03-AbCdEf0123456789",
    "sk-or-v1-0123456789abcdef0123",
    "oky_gr5uabcdefgh1234",
    "gsk_0123456789abcdefABCD",
    "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "xai-0123456789abcdefABCD",
    "hf_abcdefghij0123456789",
    "ghp_0123456789abcdefghijABCDEF",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk",
    "Bearer 0123456789abcdef0123",
    "bearer abcdefghijklmnop",
    "-----BEGIN RSA PRIVATE KEY-----",
    "https://user:hunter2@example.com/v1",
    "https://example.com/v1?api_key=0123456789",
]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_known_inside_of_any_text(key: str) -> None:
    assert looks_secret(f"use {key} here")


@pytest.mark.parametrize("key", KEYS)
def test_redacting_leaves_nothing_that_looks_like_a_key(key: str) -> None:
    assert not looks_secret(redact(f"use {key} here"))
    assert "***" in redact(key)


@pytest.mark.parametrize(
    "text",
    [
        "sk-…",
        "keys start with sk-",
        "sk-learn-pipelines-and-estimators",
        "OPENAI_API_KEY",
        "@openrouter/meta-llama/llama-3.3-70b-instruct",
        "https://api.openai.com/v1",
        "http://localhost:11434/v1",
        "Bearer tokens expire",
        "0198683a-2b6d-7066-9598-6ea119c250c3",
        "task-2024-01-02-with-a-long-name",
    ],
)
def test_prose_names_and_addresses_are_no_keys(text: str) -> None:
    assert not looks_secret(text)


@pytest.mark.parametrize(
    "field", ["api_key", "apiKey", "X-API-Key", "Authorization", "OPENAI_API_KEY", "password"]
)
def test_fields_that_would_hold_a_key_are_known_by_name(field: str) -> None:
    assert names_secret(field)


@pytest.mark.parametrize(
    "field", ["api_key_env", "api_key_command", "max_tokens", "name", "stop", "key", "model"]
)
def test_other_fields_are_not(field: str) -> None:
    assert not names_secret(field)
