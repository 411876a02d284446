"""Ids of gateways: UUID version 7, as RFC 9562 section 5.7 lays it out, and names made from text."""

from __future__ import annotations

import re
import secrets
import time
import unicodedata


def new_id(now_ms: int | None = None) -> str:
    """A fresh UUIDv7 in its usual form: 48 bits of Unix milliseconds, then random bits.

    `now_ms` is for tests; ids made in different milliseconds sort by time.
    """
    milliseconds = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76
    random = secrets.randbits(74)
    value |= random >> 62 << 64
    value |= 0b10 << 62
    value |= random & ((1 << 62) - 1)
    digits = f"{value:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def name_from(text: str) -> str:
    """The nearest valid gateway name: `Meu Gateway!` → `meu-gateway`; "" if nothing is left."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9._]+", "-", folded).strip("-._")[:64]
