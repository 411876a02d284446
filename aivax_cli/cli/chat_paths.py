"""Paths as people type, paste and drop them: quoted, with escaped spaces, with ~, as file:// addresses."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from msgspec import Struct

_WINDOWS: Final = sys.platform == "win32"
_BARE: Final = r"[^ \t\n]+" if _WINDOWS else r"(?:\\.|[^ \t\n\\])+"
"""A backslash parts folders on Windows; elsewhere it takes the meaning from what follows it."""
_WORD: Final = re.compile(
    r"(?<![^ \t\n])"
    r"(?:'(?P<single>[^'\n]+)'|\"(?P<double>[^\"\n]+)\")(?P<after>[.,;:!?)]*)(?![^ \t\n])"
    rf"|(?<![^ \t\n])(?P<bare>{_BARE})"
)
"""White space is ASCII's alone: macOS puts a narrow no-break space into the names of screenshots."""
_SEPARATOR: Final = re.compile(r"(?:^|[ \t\n])--(?:[ \t\n]+|$)")
_ABSOLUTE: Final = re.compile(r"/|~/|file://|[A-Za-z]:[\\/]" if _WINDOWS else r"/|~/|file://")
_SENTENCE_MARKS: Final = ".,;:!?)"

_MOST_SPACES: Final = 12
"""In a file's name that is written without quotes."""
_MOST_LINES: Final = 20
_MOST_CHARACTERS: Final = 10_000
"""A longer message is something that was copied: the paths in it are not meant to be sent as images."""


class _Found(Struct, frozen=True):
    """What stands between two places of a text, and the path that it names."""

    start: int
    end: int
    path: str


def path_named(place: str, directory: Path) -> Path:
    """The path that a place stands for. Nothing is read; a relative one is relative to `directory`."""
    return directory / _at_home(place)


def written_places(argument: str, directory: Path) -> list[str]:
    """The places that an argument names: the files that are there, whose spaces need no quotes, else words.

    `my notes.pdf` is one when there is such a file, `'a b.pdf' c\\ d.pdf ~/e.pdf` are three.
    """
    words, places = list(_words(argument)), []
    while words:
        start, place, count = words[0].start, words[0].path, 1
        for longest in range(min(len(words), _MOST_SPACES + 1), 0, -1):
            written = argument[start : words[longest - 1].end]
            if _exists(written, directory):
                place, count = written, longest
                break
        places.append(place)
        words = words[count:]
    return places


def split_question(argument: str) -> tuple[str, str | None]:
    """`PLACES -- QUESTION` → both; the question is None without `--`."""
    found = _SEPARATOR.search(argument)
    if found is None:
        return argument.strip(), None
    return argument[: found.start()].strip(), argument[found.end() :].strip()


def split_images(text: str, is_image: Callable[[Path], bool]) -> tuple[str, tuple[Path, ...]]:
    """A message without the absolute paths of images in it, and these.

    Where a path stands within a sentence its file's name remains: `What is in plan.png?`. `is_image` is
    asked about what looks like an absolute path and about nothing else.
    """
    copied = len(text) > _MOST_CHARACTERS or text.count("\n") >= _MOST_LINES
    if copied or not _ABSOLUTE.search(text):
        return text, ()
    whole = text.strip()
    if _ABSOLUTE.match(whole) and "\n" not in whole and is_image(path := Path(_at_home(whole))):
        return "", (path,)
    found = [image for word in _words(text) if (image := _image(word, is_image))]
    return _without(text, found), tuple(dict.fromkeys(Path(each.path) for each in found))


def escaped(path: str) -> str:
    """A path as one word: the inverse of how words are read."""
    if not re.search(r"[ \t'\"\\()]" if not _WINDOWS else r"[ \t]", path):
        return path
    return f'"{path}"' if _WINDOWS else re.sub(r"([ \t'\"\\()])", r"\\\1", path)


def last_word(argument: str) -> tuple[int, str]:
    """Where the word that is being typed begins, and what it says so far; a quote need not be closed."""
    start = 0
    for found in re.finditer(rf"'[^'\n]*'?|\"[^\"\n]*\"?|{_BARE}|[ \t\n]+", argument):
        if found[0].isspace():
            start = found.end()
    return start, _plain(argument[start:])


def _plain(word: str) -> str:
    if word[:1] in ("'", '"'):
        return word[1:].removesuffix(word[0])
    return word if _WINDOWS else re.sub(r"\\(.)", r"\1", word)


def _words(text: str) -> Iterator[_Found]:
    for found in _WORD.finditer(text):
        quoted = found["single"] or found["double"]
        end = found.end() - len(found["after"] or "")
        yield _Found(found.start(), end, _local(quoted or _plain(found["bare"])))


def _local(place: str) -> str:
    """The path of a file:// address of this machine; anything else as it is."""
    if not place.lower().startswith("file://"):
        return place
    try:
        parts = urlsplit(place)
    except ValueError:
        return place
    if parts.netloc.lower() not in ("", "localhost"):
        return place
    path = unquote(parts.path)
    return path.removeprefix("/") if _WINDOWS else path


def _image(word: _Found, is_image: Callable[[Path], bool]) -> _Found | None:
    """The image that a word names, without the marks of the sentence after it."""
    if not _ABSOLUTE.match(word.path):
        return None
    for place in dict.fromkeys((word.path, word.path.rstrip(_SENTENCE_MARKS))):
        path = _at_home(place)
        if is_image(Path(path)):
            return _Found(word.start, word.end - len(word.path) + len(place), path)
    return None


def _without(text: str, found: Sequence[_Found]) -> str:
    """The text without the paths at its beginning and end, and with the files' names for the others."""
    inner = list(found)
    start, end = 0, len(text)
    while inner and not text[start : inner[0].start].strip():
        start = inner.pop(0).end
    while inner and not text[inner[-1].end : end].strip():
        end = inner.pop().start
    parts = []
    for each in inner:
        parts += [text[start : each.start], Path(each.path).name]
        start = each.end
    return "".join([*parts, text[start:end]]).strip() if found else text


def _at_home(place: str) -> str:
    # Unlike Path.expanduser this leaves the home of somebody unknown as it is.
    return os.path.expanduser(place)  # noqa: PTH111


def _exists(place: str, directory: Path) -> bool:
    try:
        return path_named(place, directory).exists()
    except (OSError, ValueError):
        return False
