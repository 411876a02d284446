"""SentencePiece's unigram tokenizer, as XLM-RoBERTa and multilingual-e5 use it.

The `tokenizers` library does the same, but it takes 0.6 s to take in the 250,000 pieces of this
vocabulary, each time a process starts; a dict takes a tenth of that. No piece of the vocabulary holds a
word boundary inside, so a text's best segmentation is that of its words, and words repeat: a memo of
them keeps the cost far below that of the model. The tests hold both implementations against each other.

The method: Kudo, "Subword Regularization" (2018), https://arxiv.org/abs/1804.10959, section 3.2.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

WORD_START: Final = "▁"
_UNKNOWN_PENALTY: Final = 10.0  # SentencePiece's kUnkPenalty: an unknown character scores min - 10
_MEMO_WORDS: Final = 65_536
_MEMO_LENGTH: Final = 64  # longer "words" are data, not language: they do not come back
_SPACES: Final = re.compile(" {2,}")


class UnigramTokenizer:
    """Text → piece ids. `pieces` holds no special tokens: a text cannot spell one.

    `scores[i]` is the log probability of the piece with id i; `folds` maps characters to what they are
    normalised to (NFKC with SentencePiece's own changes).
    """

    def __init__(
        self,
        pieces: Mapping[str, int],
        scores: Sequence[float],
        folds: Mapping[int, str],
        *,
        unknown_id: int,
    ) -> None:
        self._pieces = pieces
        self._scores = scores
        self._folds = folds
        self._unknown_id = unknown_id
        self._unknown_score = min(scores) - _UNKNOWN_PENALTY
        self._longest = max(map(len, pieces))
        self._remembered = lru_cache(maxsize=_MEMO_WORDS)(self._segment)

    def encode(self, text: str, limit: int | None = None) -> list[int]:
        """The ids of the text's pieces, without special tokens; at most `limit` of them."""
        ids: list[int] = []
        for word in self._words(text, limit):
            known = self._remembered(word) if len(word) <= _MEMO_LENGTH else self._segment(word)
            ids.extend(known)
            if limit is not None and len(ids) >= limit:
                return ids[:limit]
        return ids

    def count(self, text: str) -> int:
        """How many pieces the text has."""
        return len(self.encode(text))

    def _words(self, text: str, limit: int | None) -> Iterator[str]:
        if limit is not None:
            # No more characters than these can matter; a fold may shorten, so leave it room.
            text = text[: 4 * limit * self._longest]
        # The table folds single characters; composing first lets it see é where a file holds e and U+0301.
        folded = unicodedata.normalize("NFC", text).translate(self._folds)
        for word in _SPACES.sub(" ", folded).strip(" ").split(" "):
            if word:
                yield WORD_START + word

    def _segment(self, word: str) -> tuple[int, ...]:
        """The segmentation of highest probability (Viterbi); neighbouring unknowns become one."""
        length = len(word)
        best = [0.0] + [float("-inf")] * length
        start_of = [0] * (length + 1)
        id_at = [self._unknown_id] * (length + 1)
        lookup, scores = self._pieces.get, self._scores
        for start in range(length):
            reached = best[start]
            for end in range(start + 1, min(start + self._longest, length) + 1):
                piece = lookup(word[start:end])
                if piece is not None and (score := reached + scores[piece]) > best[end]:
                    best[end], start_of[end], id_at[end] = score, start, piece
            after = start + 1
            if word[start:after] not in self._pieces and reached + self._unknown_score > best[after]:
                best[after], start_of[after] = reached + self._unknown_score, start
                id_at[after] = self._unknown_id
        return self._trace(start_of, id_at)

    def _trace(self, start_of: Sequence[int], id_at: Sequence[int]) -> tuple[int, ...]:
        ids: list[int] = []
        end = len(start_of) - 1
        while end > 0:
            if not (id_at[end] == self._unknown_id and ids and ids[-1] == self._unknown_id):
                ids.append(id_at[end])
            end = start_of[end]
        return tuple(reversed(ids))
