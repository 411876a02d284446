"""Text files that are there whole or not at all: a full disk or a kill leaves the earlier one."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A text file, UTF-8, that takes the place of `path` when the block ends without an error.

    A link stays, and what it leads to is replaced. What is no ordinary file, such as a pipe or /dev/null, is
    written to as it is. Raises OSError.
    """
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        return
    place = path.resolve()
    part = place.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        if place.exists():
            shutil.copymode(place, part)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Writes a text so. Raises OSError."""
    with whole_file(path) as file:
        file.write(text)
