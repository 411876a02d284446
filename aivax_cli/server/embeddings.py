"""OpenAI's embeddings: a request → texts for an embedder, and vectors → the answer. Pure."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from aivax_cli.server.faults import RequestError

MOST_INPUTS: Final = 256
"""The most texts of one request; each is computed on this machine, unless its embedder is elsewhere."""
MOST_CHARACTERS: Final = 1_000_000
"""The most characters that those texts hold together."""


class EmbeddingRequest(Struct, frozen=True):
    """Vectors that are asked for. `query` says that the texts are questions; the others are passages."""

    model: str
    texts: tuple[str, ...]
    base64: bool
    query: bool
    dimensions: int | None


class EmbeddedTexts(Struct, frozen=True):
    """Vectors of some texts, float32 little-endian, in their order. `tokens` is what the model read."""

    model: str
    vectors: tuple[bytes, ...]
    tokens: int


def embedding_request(body: Mapping[str, Any]) -> EmbeddingRequest:
    """Reads the body. `input_type: query` asks for vectors of questions. Raises RequestError."""
    model = body.get("model")
    if not isinstance(model, str) or not model.strip():
        raise RequestError("model must name an embedder, or a collection")
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RequestError("input must be a text, or a list of texts")
    if not 1 <= len(texts) <= MOST_INPUTS or not all(text.strip() for text in texts):
        raise RequestError(f"input must be 1 to {MOST_INPUTS} texts, none of them empty")
    if sum(map(len, texts)) > MOST_CHARACTERS:
        raise RequestError(f"input is longer than {MOST_CHARACTERS:,} characters", 413)
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise RequestError("encoding_format must be float or base64")
    kind = body.get("input_type") or "passage"
    if kind not in ("query", "passage"):
        raise RequestError("input_type must be query or passage")
    dimensions = body.get("dimensions")
    if dimensions is not None and (isinstance(dimensions, bool) or not isinstance(dimensions, int)):
        raise RequestError("dimensions must be a whole number")
    # Half surrogate pairs, which no UTF-8 can hold, become `?`.
    whole = tuple(text.encode("utf-8", "replace").decode() for text in texts)
    return EmbeddingRequest(model.strip(), whole, encoding == "base64", kind == "query", dimensions)


def embedding_answer(asked: EmbeddingRequest, found: EmbeddedTexts) -> dict[str, object]:
    """OpenAI's list of embeddings. Raises RequestError when other dimensions are asked for than there are."""
    dimension = len(found.vectors[0]) // 4
    if asked.dimensions is not None and asked.dimensions != dimension:
        raise RequestError(f"dimensions: the vectors of {found.model} have {dimension}, and no other number")
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector).decode()
            if asked.base64
            else list(struct.unpack(f"<{dimension}f", vector)),
        }
        for index, vector in enumerate(found.vectors)
    ]
    return {
        "object": "list",
        "data": data,
        "model": found.model,
        "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens},
    }
