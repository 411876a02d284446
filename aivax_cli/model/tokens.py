"""Counts tokens where an endpoint does not say how many it used."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

from aivax_cli.core.errors import AssetError
from aivax_cli.core.types import Message

if TYPE_CHECKING:
    from pathlib import Path

    from tiktoken import Encoding

# What OpenAI's chat format adds, from
# https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken
TOKENS_PER_MESSAGE: Final = 3
TOKENS_BEFORE_ANSWER: Final = 3
CHARACTERS_PER_TOKEN: Final = 4
"""The estimate where no table is to be had; English and Portuguese lie near it."""

_CACHE_VARIABLE: Final = "TIKTOKEN_CACHE_DIR"
# A run of a million spaces overflows the stack of tiktoken's regular expressions; this much never does.
_PIECE_CHARACTERS: Final = 8192
_CL100K_MODELS: Final = re.compile(r"gpt-4(?![o.\d])|gpt-3\.5|gpt-35|text-embedding-")


def encoding_name(model: str) -> str:
    """The tiktoken encoding for a model, as `gpt-4`, `openai/gpt-4` or `@openai/gpt-4`.

    `cl100k_base` for gpt-4 and gpt-3.5; `o200k_base` for OpenAI's later models, and for all others as an
    approximation.
    """
    name = model.lower().rpartition("/")[2]
    return "cl100k_base" if _CL100K_MODELS.match(name) else "o200k_base"


class Files(Protocol):
    """Where the encodings' tables are, such as the `AssetStore`."""

    def path(self, name: str) -> Path:
        """The file of that name, which may be fetched first. Raises AssetError."""
        ...


class TiktokenCounter:
    """Counts with OpenAI's encodings. Never fails: without their tables it estimates.

    The tables come from the store when they are first needed; `tiktoken` would download them itself.
    Implements `core.ports.TokenCounter`; may be shared by threads.
    """

    def __init__(self, store: Files) -> None:
        self._store = store
        self._encodings: dict[str, Encoding | None] = {}
        self._lock = Lock()

    def count_text(self, text: str, model: str) -> int:
        """Tokens of the text alone."""
        encoding = self._encoding(encoding_name(model))
        if encoding is None:
            return -(-len(text) // CHARACTERS_PER_TOKEN)
        return sum(len(encoding.encode(piece, disallowed_special=())) for piece in _pieces(text))

    def count_messages(self, messages: Sequence[Message], model: str) -> int:
        """Tokens of a whole prompt, with what the chat format adds to it."""
        return TOKENS_BEFORE_ANSWER + sum(self._count_message(message, model) for message in messages)

    def _count_message(self, message: Message, model: str) -> int:
        texts = [message.role, message.content]
        for call in message.tool_calls:
            texts += [call.name, call.arguments]
        return TOKENS_PER_MESSAGE + sum(self.count_text(text, model) for text in texts if text)

    def _encoding(self, name: str) -> Encoding | None:
        with self._lock:
            if name not in self._encodings:
                self._encodings[name] = self._load(name)
            return self._encodings[name]

    def _load(self, name: str) -> Encoding | None:
        try:
            folder = self._store.path(name).parent
            import tiktoken

            with _set(os.environ, _CACHE_VARIABLE, str(folder)):
                return tiktoken.get_encoding(name)
        except (AssetError, OSError, ValueError):
            return None  # an estimate is worth more than a failed turn


def _pieces(text: str) -> Iterator[str]:
    """Cuts before a space where one is near: there a token begins anyway."""
    start = 0
    while len(text) - start > _PIECE_CHARACTERS:
        end = text.rfind(" ", start + _PIECE_CHARACTERS // 2, start + _PIECE_CHARACTERS)
        end = end if end > start else start + _PIECE_CHARACTERS
        yield text[start:end]
        start = end
    yield text[start:]


@contextmanager
def _set(environ: os._Environ[str], name: str, value: str) -> Iterator[None]:
    """Sets a variable for a while: the library reads its folder from there and nowhere else."""
    before = environ.get(name)
    environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del environ[name]
        else:
            environ[name] = before
