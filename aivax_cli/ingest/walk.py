"""Which files an ingest reads: a sorted walk that never opens what could hang it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.documents import Found, Skipped

MAX_BYTES = 50_000_000


def walk(
    paths: Sequence[Path],
    *,
    base: Path,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    max_bytes: int = MAX_BYTES,
) -> Iterator[Found | Skipped]:
    """The files below `paths`, sorted by name."""
    for path in paths:
        if not path.exists():
            raise IngestError(f"{path}: no such file or folder", fix="check the path")
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        for file in files:
            name = file.resolve()
            shown = name.relative_to(base.resolve()) if name.is_relative_to(base.resolve()) else name
            yield Found(file, shown.as_posix())
