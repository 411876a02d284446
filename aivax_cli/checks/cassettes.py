"""Recordings of what models, rerankers, remote embedders and tools answered, so that checks can be replayed.

A recording is one JSON file, `cassettes/TEST/KEY.json`. Its key is the SHA-256 of the canonical request
(sorted JSON without host or key), the number of the repeat, and how often that repeat had asked the same
before. A request that was never recorded fails: nothing goes out in a replay.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from enum import StrEnum
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from aivax_cli.core.errors import AivaxError
from aivax_cli.gateway.secrets import redact
from aivax_cli.storage.whole_file import write_whole

FOLDER = "cassettes"
_FORMAT = 1
_SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")
_LEAST_SECRET = 8
"""Characters from which on a variable's value is taken for a secret, and not for a word."""
_COMPARED = 4_000
"""Characters of two requests that are compared when the nearest recording is looked for."""


class Mode(StrEnum):
    """Where answers come from."""

    LIVE = "live"
    RECORD = "record"
    REPLAY = "replay"


class MissError(AivaxError):
    """A replay was asked for what was never recorded."""


class RecordingError(AivaxError):
    """A recording cannot be written."""


class Request(Struct, frozen=True):
    """What is asked, without saying whom: `body` is what the answer depends on."""

    kind: str
    body: Mapping[str, Any]

    def canonical(self, secrets: Iterable[str]) -> str:
        """The request as sorted JSON, without secrets: a new key is no new request."""
        return _without(_canonical({"kind": self.kind, "body": self.body}), secrets)


class Cassettes(Struct):
    """All recordings of a folder. Safe for several tests at once; a file appears whole or not at all."""

    folder: Path
    mode: Mode
    secrets: tuple[str, ...] = ()
    """Values that no recording may hold."""
    used: set[Path] = field(default_factory=set)

    def tape(self, test: str, repeat: int) -> Tape:
        """The recordings of one repeat of a test."""
        return Tape(self, self.folder / test, repeat)

    def shared_tape(self, name: str) -> Tape:
        """The recordings of what tests share and what always answers the same; no test has such a name."""
        return Tape(self, self.folder / f"_{name}", 0, same_every_time=True)

    def files(self) -> Iterator[Path]:
        """Every recording there is."""
        if self.folder.is_dir():
            yield from sorted(self.folder.glob("*/*.json"))

    def prune(self) -> int:
        """Removes recordings that this run has not used, and returns how many."""
        unused = [file for file in self.files() if file not in self.used]
        for file in unused:
            file.unlink(missing_ok=True)
        for folder in {file.parent for file in unused}:
            if not any(folder.iterdir()):
                folder.rmdir()
        return len(unused)


class Tape(Struct):
    """One repeat of one test. `problem` is the first miss, also where somebody got over it."""

    cassettes: Cassettes
    folder: Path
    repeat: int
    same_every_time: bool = False
    """Whether a request that is asked again has the same answer, and one recording."""
    problem: str = ""
    recorded_ms: float = 0.0
    """Milliseconds that the replayed calls took when they were recorded."""
    asked: Counter[str] = field(default_factory=Counter)

    @property
    def replays(self) -> bool:
        return self.cassettes.mode is Mode.REPLAY

    @property
    def records(self) -> bool:
        return self.cassettes.mode is Mode.RECORD

    def read(self, request: Request) -> Mapping[str, Any]:
        """The recorded response. Raises MissError, with what the nearest recording has that is different."""
        file = self._place(request)
        try:
            recording = json.loads(file.read_text(encoding="utf-8"))
            response = recording["response"]
            took_ms = float(response.get("took_ms", 0))
        except FileNotFoundError:
            self._miss(self._nearest(request))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._miss(f"the recording {file.name} cannot be read ({error})")
        self.cassettes.used.add(file)
        self.recorded_ms += took_ms
        return response  # type: ignore[no-any-return]

    def recorder(self, request: Request) -> Callable[[Mapping[str, Any]], None]:
        """What keeps the response to a request that goes out now, and how long it took; nothing when live.

        Secrets in either are replaced by `***`. What it returns raises RecordingError.
        """
        if not self.records:
            return lambda _: None
        file, began = self._place(request), time.perf_counter()

        def keep(response: Mapping[str, Any]) -> None:
            took_ms = round((time.perf_counter() - began) * 1000, 1)
            self._write(file, request, {**response, "took_ms": took_ms})

        return keep

    def _place(self, request: Request) -> Path:
        """The file of this request's recording; when it is asked again, that of the next one."""
        text = request.canonical(self.cassettes.secrets)
        again = 0 if self.same_every_time else self.asked[text]
        self.asked[text] += 1
        numbered = f"{text}\n{self.repeat}" + (f"\n{again}" if again else "")
        return self.folder / f"{hashlib.sha256(numbered.encode()).hexdigest()}.json"

    def _write(self, file: Path, request: Request, response: Mapping[str, Any]) -> None:
        recording = {
            "format": _FORMAT,
            "kind": request.kind,
            "repeat": self.repeat,
            "request": request.body,
            "response": response,
        }
        text = json.dumps(recording, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, _without(text, self.cassettes.secrets))
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            self.problem = self.problem or f"the answer cannot be recorded: {reason}"
            raise RecordingError(
                self.problem, fix=f"free some space, or see who owns {self.folder}"
            ) from error
        self.cassettes.used.add(file)

    def _miss(self, why: str) -> None:
        told = _without(why, self.cassettes.secrets)
        self.problem = self.problem or told
        raise MissError(told, fix="record it: aivax check --record")

    def _nearest(self, request: Request) -> str:
        """What is different from the recording that is most alike."""
        text = _canonical(request.body)[:_COMPARED]
        best, nearest = 0.0, None
        for body in self._recorded(request.kind):
            likeness = SequenceMatcher(None, text, _canonical(body)[:_COMPARED], autojunk=False).quick_ratio()
            if likeness > best:
                best, nearest = likeness, body
        if nearest is None:
            return f"nothing of the kind ({request.kind}) was recorded for this test"
        if _canonical(nearest) == _canonical(request.body):
            return f"this {request.kind} request was not recorded for repeat {self.repeat + 1}"
        other = difference(nearest, request.body)
        return f"this {request.kind} request was not recorded; the nearest has {other}"

    def _recorded(self, kind: str) -> Iterator[Mapping[str, Any]]:
        for file in sorted(self.folder.glob("*.json")):
            try:
                recording = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(recording, dict) and recording.get("kind") == kind:
                yield recording.get("request", {})


def environment_secrets(environ: Mapping[str, str], named: Iterable[str] = ()) -> tuple[str, ...]:
    """The values of all variables whose names say that they are secret, and of those `named`, the longest
    first."""
    secret = {name for name in environ if any(part in name.upper() for part in _SECRET_NAMES)}
    values = {environ.get(name, "").strip() for name in {*secret, *named}}
    values = {value for value in values if len(value) >= _LEAST_SECRET}
    return tuple(sorted(values, key=len, reverse=True))


def default_mode(environ: Mapping[str, str], folder: Path) -> Mode:
    """Replay in CI where there are recordings, else live."""
    in_ci = environ.get("CI", "").lower() not in ("", "0", "false")
    return Mode.REPLAY if in_ci and next(folder.glob("*/*.json"), None) else Mode.LIVE


def difference(old: Any, new: Any, path: str = "") -> str:
    """The first place where two requests differ, and what stands there."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                return difference(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    if _is_list(old) and _is_list(new):
        for place, (before, after) in enumerate(zip(old, new, strict=False)):
            if before != after:
                return difference(before, after, f"{path}[{place}]")
        return f"{len(old)} in {path}, not {len(new)}"
    if isinstance(old, str) and isinstance(new, str):
        pairs = zip(old, new, strict=False)
        first = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new)))
        start = max(0, first - 20)
        return f"{path}: {_excerpt(old, start)!r} where now is {_excerpt(new, start)!r}"
    return f"{path}: {_excerpt(json.dumps(old), 0)} where now is {_excerpt(json.dumps(new), 0)}"


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _excerpt(text: str, start: int) -> str:
    return text[start : start + 60]


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        written = json.dumps(secret, ensure_ascii=False)[1:-1]
        text = text.replace(written, "***")
    return redact(text)
