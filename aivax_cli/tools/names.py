"""Names under which tools are offered: ones that every endpoint takes, each only once. Pure."""

from __future__ import annotations

import re
from collections.abc import Container

LONGEST_NAME = 64
_OTHER = re.compile(r"[^A-Za-z0-9_-]+")


def function_name(name: str) -> str:
    """A name as endpoints take it: letters, digits, `_` and `-`, at most 64, the first no digit."""
    plain = _OTHER.sub("_", name).strip("_") or "tool"
    if not (plain[0].isascii() and plain[0].isalpha()):
        plain = f"_{plain}"
    return plain[:LONGEST_NAME]


def free_name(name: str, owner: str, taken: Container[str]) -> str:
    """A name that nobody has yet: its own, else with its owner's before it, else with a number after it."""
    own = function_name(name)
    if own not in taken:
        return own
    owned = function_name(f"{function_name(owner)[: LONGEST_NAME // 2]}_{own}")
    candidate, number = owned, 2
    while candidate in taken:
        suffix = f"_{number}"
        candidate = owned[: LONGEST_NAME - len(suffix)] + suffix
        number += 1
    return candidate
