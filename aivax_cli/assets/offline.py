"""Whether anything may be fetched."""

from __future__ import annotations

from collections.abc import Mapping


def is_offline(environ: Mapping[str, str]) -> bool:
    """Whether `AIVAX_OFFLINE` forbids fetching."""
    return environ.get("AIVAX_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")
