"""Counting tokens cheaply while text is being cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each text, as `Embedder.count_tokens` gives them."""

_MEMO_WORDS: Final = 100_000
_LONG_WORD: Final = 256
_PIECES: Final = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
_ALPHABET_END: Final = 0x2E80  # from here on scripts without spaces: about a token for each character


class WordCounter:
    """Counts a text as the sum of its words, each of which is counted once and remembered.

    While a text is cut, every stretch of it is measured about ten times. Tokenizers that split at white
    space first, as SentencePiece's with multilingual-e5 does, lose nothing by it. A "word" longer than any
    language has is data (base64, a minified file) or a script without spaces: it counts one token for each
    character, since counting it exactly again and again takes minutes for a megabyte.
    """

    def __init__(self, count_tokens: CountTokens) -> None:
        self._count_tokens = count_tokens
        self._memo: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """The tokens of `text`."""
        words = text.split()
        try:
            return sum(map(self._memo.__getitem__, words))
        except KeyError:
            self._learn(words)
            return sum(self._memo[word] if len(word) <= _LONG_WORD else len(word) for word in words)

    def _learn(self, words: Sequence[str]) -> None:
        if len(self._memo) > _MEMO_WORDS:
            self._memo.clear()
        new = list({word for word in words if len(word) <= _LONG_WORD and word not in self._memo})
        self._memo.update(zip(new, self._count_tokens(new), strict=True))


def estimate_tokens(texts: Sequence[str]) -> list[int]:
    """Tokens of texts without a tokenizer: over documentation and source code within 7 % of what
    multilingual-e5 counts, over text full of symbols up to a quarter too few. See `benchmarks/chunking.py`.
    """
    return [_estimate(text) for text in texts]


def _estimate(text: str) -> int:
    total = 0
    for piece in _PIECES.findall(text):
        if piece[0].isdigit():
            total += (len(piece) + 2) // 3
        elif piece[0] >= chr(_ALPHABET_END):
            total += len(piece)
        else:
            total += (len(piece) + 4) // 5
    return total
