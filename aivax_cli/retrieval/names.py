"""Names: what a collection may be called, and what the vector store calls it.

Chroma takes 3 to 512 of the ASCII characters `a-z A-Z 0-9 . _ -`, the first and the last a letter or digit.
Users write `kb` and `Documentação`.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from hashlib import sha256

from aivax_cli.core.errors import UsageError

MAX_NAME_CHARS = 128

_CHROMA = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]")
_MAPPED = "aivax-"
_SLUG_CHARS = 32


def check_name(name: str) -> None:
    """Raises UsageError unless `name` can name a collection: printable, no slash, 1 to 128 characters."""
    if (
        name
        and len(name) <= MAX_NAME_CHARS
        and name.isprintable()
        and name == name.strip()
        and not set(name) & set("/\\")
    ):
        return
    raise UsageError(
        f"{name[:MAX_NAME_CHARS]!r}: cannot name a collection",
        fix=f"use 1 to {MAX_NAME_CHARS} printable characters without '/' or a space at either end",
    )


def chroma_name(name: str) -> str:
    """The vector store's name for a collection: the name itself where it is allowed, else one made from it.

    Different names give different results: made ones end with a hash, and begin as no unmade one may.
    """
    if _CHROMA.fullmatch(name) and ".." not in name and not name.startswith(_MAPPED):
        return name
    return f"{_MAPPED}{_slug(name)}-{sha256(name.encode()).hexdigest()[:16]}"


def server_name(name: str) -> str:
    """A name for a new collection on a server, which other workspaces may use: it ends at random."""
    return f"{_MAPPED}{_slug(name)}-{secrets.token_hex(8)}"


def _slug(name: str) -> str:
    ascii_part = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-zA-Z0-9]+", "-", ascii_part).strip("-")[:_SLUG_CHARS]
