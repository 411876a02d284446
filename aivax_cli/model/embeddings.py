"""Models that turn texts into vectors, over HTTP: any endpoint that speaks OpenAI's embeddings.

Format: OpenAI's API reference, "Create embeddings". A vector comes as a list of numbers or, from some
servers without being asked, as base64 of little-endian float32.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from aivax_cli.core.readings import EmbeddingAnswer
from aivax_cli.core.types import ModelTarget
from aivax_cli.model.keys import Keys
from aivax_cli.model.outgoing import opened
from aivax_cli.model.posting import Patience, Post, client_options

if TYPE_CHECKING:
    import httpx


class HttpEmbeddingEndpoint:
    """Calls `/embeddings` over one pool of connections. Implements `core.ports.EmbeddingEndpoint`.

    `dimensions` is asked for where it is given; whether the endpoint keeps to it is its caller's to check.
    """

    def __init__(
        self,
        target: ModelTarget,
        environ: Mapping[str, str],
        *,
        dimensions: int | None = None,
        patience: Patience | None = None,
        keys: Keys | None = None,
    ) -> None:
        self._target = target
        self._keys = keys or Keys(environ)
        self._dimensions = dimensions
        self._patience = patience or Patience()
        self._lock = Lock()
        self._client: httpx.Client | None = None

    def embed(self, texts: Sequence[str]) -> EmbeddingAnswer:
        """See `core.ports.EmbeddingEndpoint.embed`."""
        body: dict[str, object] = {
            "model": self._target.name,
            "input": list(texts),
            "encoding_format": "float",
        }
        if self._dimensions is not None:
            body["dimensions"] = self._dimensions
        post = Post(self._target, "embeddings", body, "embeddings")
        client = self._http(post.url)
        answer = post.send(client, self._keys.key(self._target), self._patience)
        return EmbeddingAnswer(_vectors(answer, len(texts), post), _tokens(answer))

    def close(self) -> None:
        """Closes the connections; the next call opens them again."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _http(self, url: str) -> httpx.Client:
        import httpx

        with self._lock:
            if self._client is None:
                self._client = opened(lambda: httpx.Client(**client_options(url, self._patience)))
            return self._client


def _vectors(answer: Mapping[str, Any], count: int, post: Post) -> tuple[bytes, ...]:
    """The vectors in the order of the texts, which `index` gives; servers may answer in any other."""
    data = answer.get("data")
    if not isinstance(data, list):
        raise post.misread("JSON without data")
    found: dict[int, bytes] = {}
    for place, item in enumerate(data):
        vector = _vector(item.get("embedding")) if isinstance(item, dict) else None
        if vector is None:
            raise post.misread("something that is no vector of numbers")
        index = item.get("index", place)
        found[index if isinstance(index, int) else place] = vector
    if sorted(found) != list(range(count)) or len(data) != count:
        raise post.misread(f"{len(data)} vectors for {count} texts")
    return tuple(found[place] for place in range(count))


def _vector(value: object) -> bytes | None:
    if isinstance(value, str):
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return None
        return raw if raw and len(raw) % 4 == 0 else None
    if not isinstance(value, list) or not value:
        return None
    try:
        return struct.pack(f"<{len(value)}f", *value)
    except (struct.error, OverflowError):
        return None


def _tokens(answer: Mapping[str, Any]) -> int | None:
    usage = answer.get("usage")
    for field in ("total_tokens", "prompt_tokens"):
        value = usage.get(field) if isinstance(usage, dict) else None
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
