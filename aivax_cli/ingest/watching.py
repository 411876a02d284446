"""Waiting for documents to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from aivax_cli.ingest.walk import NEVER_WALKED

QUIET_MS: Final = 500
"""Changes are gathered until nothing changed for so long, or for three times as long at most."""

WAKE_MS: Final = 250


def passes(paths: Sequence[Path]) -> Iterator[None]:
    """Yields once at the beginning, and then whenever something below `paths` has changed.

    Watching begins before the first yield and goes on between yields, so no change is missed. Ends at Ctrl-C
    while it waits. Changes in hidden folders and those of tools do not count.
    """
    from watchfiles import watch

    wanted = [path.absolute() for path in paths]
    # A file is watched by its folder: editors put a new file in its place.
    roots = {path if path.is_dir() else path.parent for path in wanted}
    begun = False
    for changes in watch(
        *roots,
        watch_filter=lambda _, name: is_watched(Path(name), wanted),
        debounce=3 * QUIET_MS,
        step=QUIET_MS,
        rust_timeout=WAKE_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
    ):
        if changes or not begun:
            begun = True
            yield None


def is_watched(changed: Path, wanted: Sequence[Path]) -> bool:
    """Whether a change of that file may change what is read from `wanted`.

    A hidden file counts only when it is named, or when it says what is ignored.
    """
    for path in wanted:
        if changed == path:
            return True
        if changed.is_relative_to(path):
            *folders, name = changed.relative_to(path).parts
            if not any(part.startswith(".") or part in NEVER_WALKED for part in folders):
                return not name.startswith(".") or name in (".gitignore", ".aivaxignore")
    return False
