"""What a tool gave back, as the text that the model reads. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

NOTHING = "(no output)"
"""What stands for an empty result: endpoints refuse empty ones."""


def cut(text: str, most: int) -> str:
    """The text, or its first `most` characters and a note that the rest is left out."""
    sound = text.encode("utf-8", "replace").decode()
    if not sound.strip():
        return NOTHING
    return sound if len(sound) <= most else f"{sound[:most]}\n[cut after {most:,} characters]"


def one_line(text: str, most: int) -> str:
    """What somebody else says, for a message: one line of at most `most` printable characters."""
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.split()))
    return line if len(line) <= most else line[: most - 1] + "…"


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets that we handed out ourselves."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def mcp_text(content: Sequence[Any], structured: object) -> str:
    """The text of an MCP result: its text blocks, a note for each block of another kind.

    Structured content counts where there is no text: servers are to send it as text too. `content` is the
    SDK's `ContentBlock`s.
    """
    parts = [_block(block) for block in content]
    if structured is not None and not any(block.type == "text" and block.text.strip() for block in content):
        parts.insert(0, json.dumps(structured, ensure_ascii=False, default=str))
    return "\n".join(part for part in parts if part)


def _block(block: Any) -> str:
    match block.type:
        case "text":
            return str(block.text)
        case "image" | "audio":
            size = len(block.data) * 3 // 4
            return f"[{block.type}, {block.mime_type}, about {size:,} bytes: not shown]"
        case "resource_link":
            return f"[resource {block.name}: {block.uri}]"
        case "resource":
            text = getattr(block.resource, "text", None)
            return text if isinstance(text, str) else f"[resource {block.resource.uri}: not text]"
    return f"[{block.type}: not shown]"
