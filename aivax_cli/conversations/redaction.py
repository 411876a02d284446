"""What looks private, masked: keys, e-mail addresses, telephone numbers, long numbers. Pure.

Patterns, not understanding: names, addresses and short secrets remain.
"""

from __future__ import annotations

import re
from typing import Final

_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_NAMED = re.compile(
    r"(?i)\b((?:[\w-]*(?:api[_-]?key|secret|token|passw(?:or)?d|senha))[\"']?\s*[:=]\s*[\"']?)"
    r"([^\s\"',;]{4,})"
)
_BEARER = re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}")
_ADDRESS = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s/:@]+:)[^\s/@]+(@)")
_PREFIXED = re.compile(
    r"\b(?:(?:sk|pk|rk)[-_][A-Za-z0-9_-]{8,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|"
    r"xox[a-z]-[A-Za-z0-9-]{8,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w-]{20,}|glpat-[\w-]{12,}|hf_[A-Za-z0-9]{16,}|"
    r"gsk_[A-Za-z0-9]{16,}|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?)"
)
# Letters and digits in one long run are no word; without a digit it may be one.
_RANDOM = re.compile(r"\b(?=[A-Za-z0-9_-]*\d)(?=[A-Za-z0-9_-]*[A-Za-z])[A-Za-z0-9_]{32,}\b")
_E_MAIL = re.compile(r"[\w.%+'-]+@[\w-]+(?:\.[\w-]+)+")
_DIGITS = re.compile(r"(?<![\w.,])(?:\+|\(\+?)?\d(?:[ \u00a0./()-]{0,2}\d){7,}(?![\w])")
_DATE = re.compile(r"\d{4}[-./]\d{2}[-./]\d{2}|\d{2}[-./]\d{2}[-./]\d{4}")
_PHONE = re.compile(
    r"\+\d[\d ()\u00a0./-]*"
    r"|\(\+?\d{2,3}\)\s?\d[\d ()\u00a0./-]*"
    r"|\d{2,4}[ -]\d{4,5}[ -]\d{4}|\d{3}[ .-]\d{3}[ .-]\d{4}|\d{4,5}-\d{4}"
)

KEY: Final = "[key]"
E_MAIL: Final = "[e-mail]"
PHONE: Final = "[phone]"
NUMBER: Final = "[number]"


def redacted(text: str) -> str:
    """The text with keys, e-mail addresses, telephone numbers and numbers of 8 digits or more masked."""
    text = _PEM.sub(KEY, text)
    text = _ADDRESS.sub(rf"\1{KEY}\2", text)
    text = _BEARER.sub(rf"\1{KEY}", text)
    text = _PREFIXED.sub(KEY, text)
    text = _NAMED.sub(rf"\1{KEY}", text)
    text = _RANDOM.sub(KEY, text)
    text = _E_MAIL.sub(E_MAIL, text)
    return _DIGITS.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    found = match[0]
    if _DATE.fullmatch(found):
        return found
    return PHONE if _PHONE.fullmatch(found) else NUMBER
