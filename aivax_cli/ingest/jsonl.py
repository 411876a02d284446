"""Documents in JSONL, the hosted service's import format: a document a line.

    docid    its stable name, at most 256 characters      __ref    parts of one source share it, at most 64
    text     what is cut, embedded and indexed            __tags   list of texts, to filter by
                                                          __meta   object that is given back with hits

Lines that `aivax collections export` wrote say in `__meta.aivax` which part of which document they are.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NoReturn

from msgspec import Struct

from aivax_cli.retrieval.exporting import (
    DOCID_CHARS,
    OWN_META,
    REF_CHARS,
    CollectionFacts,
    Place,
)
from aivax_cli.retrieval.records import Labels

SUFFIX: Final = ".jsonl"

MAX_LINE_BYTES: Final = 10_000_000
"""A longer line is not read: it would not be one piece of knowledge."""

_FIELDS: Final = frozenset({"docid", "text", "__ref", "__tags", "__meta"})


class Line(Struct, frozen=True):
    """A document as its line says it. `number` counts from 1. `place` is None unless it was exported.

    `unknown` are fields that the format does not have.
    """

    number: int
    docid: str
    text: str
    labels: Labels
    place: Place | None = None
    facts: CollectionFacts | None = None
    unknown: tuple[str, ...] = ()

    @property
    def content_hash(self) -> bytes:
        """The name of what is cut and embedded, and of where it stands; labels do not count."""
        place = self.place.as_json() if self.place else None
        content = json.dumps([self.text, place], ensure_ascii=False, sort_keys=True)
        return blake2b(content.encode(), digest_size=32).digest()


class BadLine(Struct, frozen=True):
    """A line that is no document, and why."""

    number: int
    reason: str


class _BadLineError(Exception):
    """What is wrong with a line."""


def is_import(path: Path) -> bool:
    """Whether a file is documents in JSONL: by its extension and its first line. Raises OSError."""
    if path.suffix.lower() != SUFFIX:
        return False
    for _, data in _lines(path):
        try:
            record = _record(data)
        except _BadLineError:
            return False
        return "docid" in record and "text" in record
    return False


def read_lines(path: Path) -> Iterator[Line | BadLine]:
    """Every line that is not blank, one at a time. Raises OSError."""
    for number, data in _lines(path):
        try:
            yield _line(number, _record(data))
        except _BadLineError as error:
            yield BadLine(number, str(error))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbers and bytes of lines; of a line that is too long no more than that it is."""
    with path.open("rb") as file:
        number = 0
        while data := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            whole = data
            while len(whole) > MAX_LINE_BYTES and not whole.endswith(b"\n"):
                whole = file.readline(MAX_LINE_BYTES + 1)
                if not whole:
                    break
            if number == 1:
                data = data.removeprefix(codecs.BOM_UTF8)
            if data.strip():
                yield number, data


def _record(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_LINE_BYTES:
        raise _BadLineError(f"longer than {MAX_LINE_BYTES // 1_000_000} MB")
    try:
        record = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
        # Half of a surrogate pair can be written in JSON, but is no character.
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise _BadLineError("not UTF-8") from error
    except UnicodeEncodeError as error:
        raise _BadLineError("holds half of a character (a lone surrogate)") from error
    except json.JSONDecodeError as error:
        raise _BadLineError(f"not JSON: {error.msg.lower()} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise _BadLineError("not JSON that can be read") from error
    if not isinstance(record, dict):
        raise _BadLineError("not a JSON object")
    return record


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _line(number: int, record: Mapping[str, Any]) -> Line:
    docid = _text(record, "docid", DOCID_CHARS)
    if not docid.strip():
        raise _BadLineError("docid is missing or empty" if not docid else "docid is blank")
    if not isinstance(record.get("text", ""), str):
        raise _BadLineError("text must be a text")
    text = record.get("text", "")
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise _BadLineError(f"{docid}: text is missing or empty")
    tags = record.get("__tags")
    if tags is None:
        tags = []
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag for tag in tags):
        raise _BadLineError(f"{docid}: __tags must be a list of texts")
    meta = record.get("__meta")
    if meta is None:
        meta = {}
    if not isinstance(meta, dict):
        raise _BadLineError(f"{docid}: __meta must be an object")
    own = meta.get(OWN_META)
    place, facts = Place.from_json(own), CollectionFacts.from_json(own)
    if place is not None or facts is not None:
        meta = {key: value for key, value in meta.items() if key != OWN_META}
    labels = Labels(
        _text(record, "__ref", REF_CHARS),
        tuple(dict.fromkeys(tags)),
        json.dumps(meta, ensure_ascii=False, separators=(",", ":")),
    )
    unknown = tuple(sorted(set(record) - _FIELDS))
    return Line(number, docid, text, labels, place, facts, unknown)


def _text(record: Mapping[str, Any], field: str, limit: int) -> str:
    """A short text field; "" when it is absent."""
    value = record.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _BadLineError(f"{field} must be a text")
    if len(value) > limit:
        raise _BadLineError(f"{field} is longer than {limit} characters")
    return value
