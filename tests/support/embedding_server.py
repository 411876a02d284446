"""An `/embeddings` endpoint whose vectors mean something: texts that share words are near."""

from __future__ import annotations

import base64
from collections.abc import Callable

from support.knowledge import HashEmbedder
from support.upstream import Answer, Request, json_answer


def embeddings(
    dimension: int = 32, *, base64_vectors: bool = False, backwards: bool = False, tokens: bool = True
) -> Callable[[Request], Answer]:
    """A script for `Upstream`. Vectors have `dimension` components or those asked for, of any length."""

    def answer(request: Request) -> Answer:
        wanted = request.body.get("dimensions", dimension)
        embedded = HashEmbedder(dimension=wanted).embed_queries(request.body["input"])
        rows = (embedded.vectors * 3).astype("<f4")
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(row.tobytes()).decode() if base64_vectors else row.tolist(),
            }
            for index, row in enumerate(rows)
        ]
        usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
        return json_answer(
            {
                "object": "list",
                "data": data[::-1] if backwards else data,
                "model": request.body["model"],
                **({"usage": usage} if tokens else {}),
            }
        )

    return answer
