"""Which files an ingest reads: a sorted walk that opens nothing which could hang it.

Files named outright are taken even when they are hidden or ignored. Below a folder, hidden entries, what
`.gitignore` and `.aivaxignore` exclude, and the folders of tools are passed over in silence; whatever else
is not read comes out as `Skipped`, with the reason.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.documents import Found, Skipped
from aivax_cli.ingest.ignoring import IgnoreRules, Patterns
from aivax_cli.ingest.jsonl import is_import
from aivax_cli.ingest.sniffing import why_not_text
from aivax_cli.ingest.supported import CONVERTED, kind_of

MAX_BYTES: Final = 50_000_000
"""Larger files are skipped unless the caller says otherwise."""

SIZE_OPTION: Final = "--max-mb"
"""The command-line option that raises the limit; named in the reason for skipping."""

NEVER_WALKED: Final = frozenset({".aivax", ".git", ".venv", "venv", "node_modules", "__pycache__"})
"""Folders that hold no documents of the user's."""

_GENERATED: Final = frozenset({"package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml"})
_GENERATED_ENDINGS: Final = (".lock", ".min.js", ".min.css", ".map")

_SPECIAL: Final = (
    (stat.S_ISFIFO, "a named pipe, not a file"),
    (stat.S_ISSOCK, "a socket, not a file"),
    (stat.S_ISCHR, "a device, not a file"),
    (stat.S_ISBLK, "a device, not a file"),
)


def walk(
    paths: Sequence[Path],
    *,
    base: Path,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    max_bytes: int = MAX_BYTES,
) -> Iterator[Found | Skipped]:
    """The files named by or below `paths`, sorted by name, each once.

    `base` is the folder that names are relative to. `include` and `exclude` are patterns as in `.gitignore`,
    relative to the folder walked; with `include`, only files that match are taken. Symbolic links are
    followed as long as they stay inside the folder walked: a folder of documents must not be able to pull in
    the rest of the disk. Raises IngestError for a path that does not exist and
    for a pattern that is none.
    """
    gathered = _Gathered(_Names(base))
    wanted, unwanted = Patterns(include), Patterns(exclude)
    for path in paths:
        _gather(path, gathered, include=wanted, exclude=unwanted)
    for name in sorted(gathered.entries):
        entry = gathered.entries[name]
        writable = _writable(name)
        if writable != name:  # no database and no request could hold it
            yield Skipped(writable, "its name is not UTF-8; rename it")
        else:
            yield entry if isinstance(entry, Skipped) else _looked_at(Found(entry, name), max_bytes)


class _Names:
    """How paths are shown."""

    def __init__(self, base: Path) -> None:
        self._bases = dict.fromkeys((Path(os.path.normpath(base.absolute())), base.resolve()))
        self._base_names = {str(base) for base in self._bases}
        self._prefixes: dict[str, str] = {}

    def of(self, path: Path) -> str:
        """The posix path below the base, else the absolute one."""
        # As text, a folder at a time: every file of a walk is named, and paths are slow to take apart.
        absolute = os.path.abspath(path)  # noqa: PTH100  # links keep their names
        if absolute in self._base_names:
            return "."
        folder, name = os.path.split(absolute)
        if folder not in self._prefixes:
            self._prefixes[folder] = self._prefix(Path(folder))
        return self._prefixes[folder] + name

    def _prefix(self, folder: Path) -> str:
        """What the names of files in a folder begin with."""
        for base in self._bases:
            if folder == base:
                return ""
            if folder.is_relative_to(base):
                return f"{folder.relative_to(base).as_posix()}/"
        return f"{folder.as_posix().rstrip('/')}/"


class _Gathered(Struct):
    """What a walk has come across: files and skipped things by name, and the real paths seen."""

    names: _Names
    entries: dict[str, Path | Skipped] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def take(self, path: Path, real: str) -> None:
        if real not in self.seen:
            self.seen.add(real)
            self.entries[self.names.of(path)] = path

    def skip(self, path: Path, reason: str, *, failed: bool = False) -> None:
        name = self.names.of(path)
        self.entries.setdefault(name, Skipped(name, reason, failed))


def _gather(path: Path, gathered: _Gathered, *, include: Patterns, exclude: Patterns) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise IngestError(
            f"{path}: no such file or folder", fix=f"check the path, which is relative to {Path.cwd()}"
        ) from error
    except OSError as error:
        raise IngestError(f"{path}: cannot be read: {_said(error)}", fix="check its permissions") from error
    if stat.S_ISDIR(mode):
        _Folder(path, gathered, include, exclude).walk()
    else:
        gathered.take(path, str(path.resolve()))


class _Folder:
    """The walk of one folder that was named."""

    def __init__(self, root: Path, gathered: _Gathered, include: Patterns, exclude: Patterns) -> None:
        self._root = root
        self._real_root = root.resolve()
        self._gathered = gathered
        self._include = include
        self._exclude = exclude
        self._links: list[tuple[Path, str, IgnoreRules]] = []

    def walk(self) -> None:
        """Everything below the root; links last, so that a file goes by its own name and not by a link's."""
        self._enter(self._root, "", IgnoreRules.above(self._real_root))
        for link, relative, rules in self._links:
            self._follow(link, relative, rules)

    def _enter(self, folder: Path, relative: str, rules: IgnoreRules) -> None:
        pending = [(folder, relative, rules)]
        while pending:
            folder, relative, rules = pending.pop()
            real = str(folder.resolve())
            if real in self._gathered.seen:
                continue
            self._gathered.seen.add(real)
            try:
                with os.scandir(folder) as listing:
                    entries = list(listing)
            except PermissionError:
                reason = "the folder cannot be listed: permission denied; check its permissions"
                self._gathered.skip(folder, reason, failed=True)
                continue
            except OSError as error:
                self._gathered.skip(folder, f"cannot be listed: {_said(error)}")
                continue
            if any(entry.name == "pyvenv.cfg" for entry in entries):
                continue
            inner = rules.within(self._real_root / relative)
            for entry in entries:
                below = f"{relative}{entry.name}"
                if entry.is_symlink():
                    self._links.append((Path(entry.path), below, inner))
                elif entry.is_dir(follow_symlinks=False):
                    if self._wants_folder(below, inner):
                        pending.append((Path(entry.path), f"{below}/", inner))
                elif self._wants_file(below, inner):
                    self._take(Path(entry.path), os.path.join(real, entry.name))  # noqa: PTH118

    def _follow(self, link: Path, relative: str, rules: IgnoreRules) -> None:
        try:
            real = link.resolve(strict=True)
            is_folder = real.is_dir()
        except (OSError, RuntimeError):  # RuntimeError is what Python before 3.13 makes of a loop
            if self._wants_file(relative, rules):
                self._gathered.skip(link, "a symbolic link to nothing")
            return
        if not (self._wants_folder(relative, rules) if is_folder else self._wants_file(relative, rules)):
            return
        if not real.is_relative_to(self._real_root):
            self._gathered.skip(link, f"a symbolic link out of {self._root}; name it to read it")
        elif is_folder:
            self._enter(link, f"{relative}/", rules)
        else:
            self._take(link, str(real))

    def _take(self, path: Path, real: str) -> None:
        if path.name in _GENERATED or path.name.endswith(_GENERATED_ENDINGS):
            self._gathered.skip(path, "written by a tool; name it to read it")
        else:
            self._gathered.take(path, real)

    def _wants_folder(self, relative: str, rules: IgnoreRules) -> bool:
        name = relative.rpartition("/")[2]
        if name.startswith(".") or name in NEVER_WALKED or self._exclude.match(f"{relative}/"):
            return False
        return not rules.ignore(self._real_root / relative, is_folder=True)

    def _wants_file(self, relative: str, rules: IgnoreRules) -> bool:
        if relative.rpartition("/")[2].startswith(".") or self._exclude.match(relative):
            return False
        if self._include and not self._include.match(relative):
            return False
        return not (rules.layers and rules.ignore(self._real_root / relative, is_folder=False))


def _looked_at(found: Found, max_bytes: int) -> Found | Skipped:
    """The file, or why it is not to be read. Special files are never opened."""
    try:
        status = found.path.stat()
        if not stat.S_ISREG(status.st_mode):
            for is_kind, reason in _SPECIAL:
                if is_kind(status.st_mode):
                    return Skipped(found.name, reason)
        if status.st_size == 0:
            return Skipped(found.name, "empty")
        if is_import(found.path):  # read line by line, whatever its size
            return replace(found, is_import=True)
        if status.st_size > max_bytes:
            return Skipped(
                found.name,
                f"{_megabytes(status.st_size)} is over the limit of {_megabytes(max_bytes)}; "
                f"raise it with {SIZE_OPTION}",
            )
        if kind_of(found.path) in CONVERTED and os.access(found.path, os.R_OK):
            return found
        reason_not = why_not_text(found.path)
    except PermissionError:
        return Skipped(found.name, "permission denied; check its permissions", failed=True)
    except OSError as error:
        return Skipped(found.name, f"cannot be read: {_said(error)}")
    return found if reason_not is None else Skipped(found.name, reason_not)


def _writable(name: str) -> str:
    """The name with `?` for each byte of it that is no character, as `ls` shows it."""
    return name if name.isascii() else name.encode(errors="replace").decode()


def _said(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _megabytes(count: int) -> str:
    megabytes = count / 1_000_000
    return f"{megabytes:,.0f} MB" if megabytes >= 10 else f"{megabytes:.1f} MB"
