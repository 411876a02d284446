"""Ignore files, with git's rules: the pattern nearest to a file decides, the last one in its file first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from pathspec import GitIgnoreSpec

from aivax_cli.core.errors import IngestError

IGNORE_FILES: Final = (".gitignore", ".aivaxignore")
"""Read in every folder walked and in those above it up to the repository's root; the later one wins."""

_MAX_BYTES: Final = 1_000_000


class Patterns:
    """Patterns as in `.gitignore`, for paths relative to one folder. Without any it is false."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Raises IngestError for a pattern that is none."""
        for pattern in patterns:
            if not _is_pattern(pattern):
                raise IngestError(
                    f"'{pattern}' is no file pattern", fix="write it as in .gitignore, e.g. '*.md'"
                )
        self._spec = GitIgnoreSpec.from_lines(patterns) if patterns else None

    def __bool__(self) -> bool:
        return self._spec is not None

    def match(self, relative: str) -> bool:
        """Whether a posix path matches; a folder's ends in `/`."""
        return self._spec is not None and self._spec.match_file(relative)


class IgnoreRules(Struct, frozen=True):
    """The ignore files that hold for a folder, outermost first: each with the folder that it stands in."""

    layers: tuple[tuple[Path, GitIgnoreSpec], ...] = ()

    @classmethod
    def above(cls, root: Path) -> IgnoreRules:
        """What the folders above `root` say, up to the one that holds `.git`; without one nothing does.

        Patterns that would exclude `root` itself are left out: whoever names a folder wants it read.
        """
        repository = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)
        if repository is None or repository == root:
            return cls()
        parents = [folder for folder in reversed(root.parents) if folder.is_relative_to(repository)]
        wanted = (*parents[1:], root)
        rules = cls()
        for parent in parents:
            lines = [
                line for line in _patterns(parent) if not any(_excludes(parent, line, w) for w in wanted)
            ]
            rules = rules._with(parent, lines)
        return rules

    def within(self, folder: Path) -> IgnoreRules:
        """These rules and those of the ignore files in `folder`."""
        return self._with(folder, _patterns(folder))

    def _with(self, folder: Path, lines: Sequence[str]) -> IgnoreRules:
        if not lines:
            return self
        return IgnoreRules((*self.layers, (folder, GitIgnoreSpec.from_lines(lines))))

    def ignore(self, path: Path, *, is_folder: bool) -> bool:
        """Whether git would leave `path` out."""
        for layer in reversed(self.layers):
            verdict = _verdict(layer, path, is_folder)
            if verdict is not None:
                return verdict
        return False


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error):
        return False
    return True


def _patterns(folder: Path) -> list[str]:
    """The usable lines of a folder's ignore files."""
    return [line for name in IGNORE_FILES for line in _lines(folder / name) if _is_pattern(line)]


def _excludes(parent: Path, pattern: str, folder: Path) -> bool:
    return _verdict((parent, GitIgnoreSpec.from_lines([pattern])), folder, is_folder=True) is True


def _verdict(layer: tuple[Path, GitIgnoreSpec], path: Path, is_folder: bool) -> bool | None:
    """True: ignored; False: taken back in by `!`; None: nothing said."""
    folder, spec = layer
    if not path.is_relative_to(folder):
        return None
    relative = path.relative_to(folder).as_posix()
    if relative == ".":
        return None
    return spec.check_file(f"{relative}/" if is_folder else relative).include


def _lines(file: Path) -> Iterable[str]:
    try:
        if not file.is_file() or file.stat().st_size > _MAX_BYTES:
            return ()
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()  # git, too, goes on without an ignore file that it cannot read
