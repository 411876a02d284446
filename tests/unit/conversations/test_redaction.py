"""What looks private is masked, and what only resembles it is not."""

import pytest

from aivax_cli.conversations.redaction import redacted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("use sk-proj-abc_DEF12345678 now", "use [key] now"),
        ("ghp_0123456789abcdefABCD", "[key]"),
        ("AKIAIOSFODNN7EXAMPLE", "[key]"),
        ("api_key: abcd1234", "api_key: [key]"),
        ('OPENAI_API_KEY="abcd1234"', 'OPENAI_API_KEY="[key]"'),
        ("senha = segredo1", "senha = [key]"),
        ("Authorization: Bearer abcdefghijk", "Authorization: Bearer [key]"),
        ("https://user:pw1234@host/x", "https://user:[key]@host/x"),
        ("3f" * 20, "[key]"),
        ("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", "[key]"),
        ("write to ana.silva+x@exemplo.com.br.", "write to [e-mail]."),
        ("call +55 11 91234-5678 now", "call [phone] now"),
        ("(11) 91234-5678", "[phone]"),
        ("555-123-4567", "[phone]"),
        ("CPF 123.456.789-09 ok", "CPF [number] ok"),
        ("card 4111 1111 1111 1111", "card [number]"),
        ("order 12345678", "order [number]"),
    ],
)
def test_what_looks_private_is_masked(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "born 1999-12-31, due 31/12/2026",
        "128000 tokens cost $1,234,567.89",
        "docs/a.md:120-300",
        "2026-11-22T03:16:09",
        "a token is not a password",
        "internationalization-of-everything-and-more",
    ],
)
def test_what_only_resembles_it_stays(text: str) -> None:
    assert redacted(text) == text
