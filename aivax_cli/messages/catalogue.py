"""The translations as they are kept: one JSON object a language, English text → text."""

from __future__ import annotations

import json
from pathlib import Path


def read_catalogue(language: str) -> dict[str, str]:
    """The translations into a language: `{}` stands in the English, `{0}` in the other."""
    file = Path(__file__).with_name(f"{language}.json")
    if not file.exists():
        return {}
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return found
