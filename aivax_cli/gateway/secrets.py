"""What looks like an API key. Keys live in the environment or behind a command, never in YAML."""

from __future__ import annotations

import re

# Prefixes that the providers document for their keys, and the common shapes of credentials. A match
# needs the length that real keys have, so that prose about keys (`sk-…`) stays allowed.
_SHAPES = (
    r"sk-(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{16,}",  # OpenAI, Anthropic, OpenRouter, DeepSeek
    r"oky_[A-Za-z0-9_]{12,}",  # aivax
    r"gsk_[A-Za-z0-9]{16,}",  # Groq
    r"AIza[A-Za-z0-9_-]{30,}",  # Google
    r"(?:xai|pplx|nvapi|tvly|r8|hf)[-_](?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{16,}",
    r"gh[pousr]_[A-Za-z0-9]{20,}",
    r"github_pat_[A-Za-z0-9_]{20,}",
    r"glpat-[A-Za-z0-9_-]{16,}",
    r"xox[abeprs]-[A-Za-z0-9-]{10,}",
    r"AKIA[A-Z0-9]{16}",
    r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",  # JSON web token
    r"(?i:bearer)\s+[A-Za-z0-9._~+/-]{16,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",  # user:password@ in a URL
    r"(?<=[?&])(?i:api[-_]?key|key|token|access_token)=[A-Za-z0-9._~+/-]{8,}",
)
_SECRET = re.compile(r"(?<![A-Za-z0-9_-])(?:" + "|".join(_SHAPES) + ")")

_SECRET_FIELDS = frozenset(
    {
        "apikey",
        "xapikey",
        "xgoogapikey",
        "apitoken",
        "accesstoken",
        "authtoken",
        "secret",
        "clientsecret",
        "secretkey",
        "password",
        "authorization",
        "proxyauthorization",
        "credentials",
    }
)


def looks_secret(text: str) -> bool:
    """Whether the text holds something shaped like a credential."""
    return _SECRET.search(text) is not None


def names_secret(field: str) -> bool:
    """Whether a field of this name would hold a credential: `api_key`, `X-API-Key`, `Authorization`, …"""
    folded = re.sub(r"[^a-z]", "", field.lower())
    return folded in _SECRET_FIELDS or folded.endswith(("apikey", "secretkey", "accesstoken", "password"))


def redact(text: str) -> str:
    """The text with everything shaped like a credential replaced by `***`."""
    return _SECRET.sub("***", text)
