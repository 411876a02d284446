"""Models that score passages against a question, over HTTP: any endpoint with `/rerank`.

Format: Cohere's, which Jina, Voyage, vLLM, Infinity and llama.cpp speak as well:
`{model, query, documents, top_n}` → `{results: [{index, relevance_score}]}`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

from aivax_cli.core.readings import RerankScores
from aivax_cli.core.types import ModelTarget
from aivax_cli.model.keys import Keys
from aivax_cli.model.outgoing import opened
from aivax_cli.model.posting import Patience, Post, client_options


class HttpRerankEndpoint:
    """Calls `/rerank`. Implements `core.ports.RerankEndpoint`."""

    def __init__(
        self, environ: Mapping[str, str], patience: Patience | None = None, *, keys: Keys | None = None
    ) -> None:
        self._keys = keys or Keys(environ)
        self._patience = patience or Patience()

    async def scores(self, target: ModelTarget, question: str, texts: Sequence[str]) -> RerankScores:
        """See `core.ports.RerankEndpoint.scores`."""
        import httpx

        body = {"model": target.name, "query": question, "documents": list(texts), "top_n": len(texts)}
        post = Post(target, "rerank", body, "scores of passages")
        url = post.url
        key = await asyncio.to_thread(self._keys.key, target)
        async with opened(lambda: httpx.AsyncClient(**client_options(url, self._patience))) as client:
            answer = await post.send_async(client, key, self._patience)
        scores: list[float | None] = [None] * len(texts)
        for index, score in _results(answer, post):
            if 0 <= index < len(texts):
                scores[index] = score
        if all(score is None for score in scores):
            raise post.misread("no scores")
        return RerankScores(tuple(scores), _tokens(answer))


def _results(answer: Mapping[str, Any], post: Post) -> list[tuple[int, float]]:
    results = answer.get("results", answer.get("data"))  # Voyage calls them data
    if not isinstance(results, list):
        raise post.misread("JSON without results")
    found = []
    for result in results:
        index = result.get("index") if isinstance(result, dict) else None
        score = result.get("relevance_score", result.get("score")) if isinstance(result, dict) else None
        if isinstance(index, int) and isinstance(score, int | float) and math.isfinite(score):
            found.append((index, float(score)))
    return found


def _tokens(answer: Mapping[str, Any]) -> int | None:
    """What the endpoint says that it read: Jina and vLLM in `usage`, Cohere in `meta.tokens`."""
    usage, meta = answer.get("usage"), answer.get("meta")
    tokens = meta.get("tokens") if isinstance(meta, dict) else None
    for holder, field in ((usage, "total_tokens"), (usage, "prompt_tokens"), (tokens, "input_tokens")):
        value = holder.get(field) if isinstance(holder, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return int(value)
    return None
