"""The network of multilingual-e5-small as an onnxruntime session with 8-bit matrix products.

The graph file `e5_int8.onnx` beside this module is the network without its weights; `tools/make_e5_graph.py`
makes it from `initialisers()` below, and only that script needs the library `onnx`. The weights are
converted once from the asset and kept in the cache directory in one file that maps into memory.

Matrices become 8-bit integers with one scale for each output column. Activations become 8-bit integers
with one scale for each token, taken from its largest component: so a token's result does not depend on
its neighbours in a batch, and the vectors stay nearer to float32's than with one scale for a whole tensor.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib import resources
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from aivax_cli.retrieval.embedding.weights import E5Weights, Shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GRAPH_FILE: Final = "e5_int8.onnx"
E5_SMALL: Final = Shape(
    hidden=384, layers=12, heads=12, feed_forward=1536, vocabulary=250_037, positions=512, epsilon=1e-12
)
# 7 bits and a sign would overflow the 16-bit sums of processors without VNNI (255 · 127 · 2 > 32,767).
LARGEST_WEIGHT: Final = 63
_ALIGNMENT: Final = 64
_CHECKSUM_BYTES: Final = 4


class Initialiser(Struct, frozen=True):
    """A tensor that the graph names and the session is given. Matrices are (inputs, outputs)."""

    name: str
    type: Literal["int8", "float32"]
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * (1 if self.type == "int8" else 4)


def initialisers(shape: Shape) -> Iterator[Initialiser]:
    """Every tensor of the graph, in the order in which the converted file holds them."""
    hidden = shape.hidden
    yield from _vectors("emb.ln", hidden)
    for layer in (f"l{index}" for index in range(shape.layers)):
        yield from _matrix(f"{layer}.qkv", hidden, 3 * hidden)
        yield from _matrix(f"{layer}.ao", hidden, hidden)
        yield from _vectors(f"{layer}.aln", hidden)
        yield from _matrix(f"{layer}.fi", hidden, shape.feed_forward)
        yield from _matrix(f"{layer}.fo", shape.feed_forward, hidden)
        yield from _vectors(f"{layer}.oln", hidden)


def _matrix(name: str, inputs: int, outputs: int) -> Iterator[Initialiser]:
    yield Initialiser(f"{name}.w", "int8", (inputs, outputs))
    yield Initialiser(f"{name}.scale", "float32", (outputs,))
    yield Initialiser(f"{name}.b", "float32", (outputs,))


def _vectors(name: str, size: int) -> Iterator[Initialiser]:
    yield Initialiser(f"{name}.w", "float32", (size,))
    yield Initialiser(f"{name}.b", "float32", (size,))


def graph_bytes() -> bytes:
    """The graph without weights."""
    return resources.files(__package__).joinpath(GRAPH_FILE).read_bytes()


def pipeline_fingerprint(weights_sha256: str) -> str:
    """Sixteen hexadecimal digits that change with the weights, the graph or the way of converting."""
    recipe = f"{weights_sha256} {LARGEST_WEIGHT} {sha256(graph_bytes()).hexdigest()}"
    return sha256(recipe.encode()).hexdigest()[:16]


class Network(Struct, frozen=True, eq=False):
    """A loaded session. It reads its tensors in place, so they must live as long as it does."""

    _session: Any
    _tensors: Sequence[Any]

    def run(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(tokens, hidden) in, the same out: one text, no padding. May be called by several threads."""
        import numpy as np

        mask = np.ones((1, len(embeddings)), np.int32)
        outputs = self._session.run(["hidden"], {"embeddings": embeddings[None], "mask": mask})
        hidden: NDArray[np.float32] = outputs[0][0]
        return hidden


def load_network(weights: E5Weights, converted_file: Path) -> Network:
    """The network, computing on one thread: callers run several texts at once instead.

    Converts the weights first when `converted_file` is not there or is damaged. A directory that cannot
    be written to costs time at the next start and nothing else.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read while the library is imported
    import onnxruntime as ort

    tensors = _read_converted(weights.shape, converted_file)
    if tensors is None:
        tensors = converted(weights)
        with suppress(OSError):
            _write_converted(tensors, weights.shape, converted_file)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # every text has another length
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    values = [ort.OrtValue.ortvalue_from_numpy(tensor) for tensor in tensors.values()]
    options.add_external_initializers(list(tensors), values)
    session = ort.InferenceSession(graph_bytes(), options, providers=["CPUExecutionProvider"])
    return Network(session, values)


def converted(weights: E5Weights) -> dict[str, NDArray[Any]]:
    """The graph's tensors from the 4-bit ones; takes about a third of a second."""
    import numpy as np

    shape = weights.shape
    tensors: dict[str, NDArray[Any]] = {}
    for wanted in initialisers(shape):
        name, _, part = wanted.name.rpartition(".")
        sources = [f"{name[:-3]}{side}" for side in "qkv"] if name.endswith("qkv") else [name]
        if part == "w" and wanted.type == "int8":
            rows = np.concatenate([weights.matrix(f"{source}.w", wanted.shape[0]) for source in sources])
            tensors[wanted.name], tensors[f"{name}.scale"] = _quantised(rows)
        elif part != "scale":
            tensors[wanted.name] = np.concatenate([weights.vector(f"{source}.{part}") for source in sources])
    return tensors


def _quantised(rows: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(outputs, inputs) float32 → (inputs, outputs) int8 and one scale for each output."""
    import numpy as np

    scales = np.abs(rows).max(axis=1) / np.float32(LARGEST_WEIGHT)
    return np.ascontiguousarray(np.rint(rows / scales[:, None]).astype(np.int8).T), scales


def _layout(shape: Shape) -> tuple[list[tuple[Initialiser, int]], int]:
    """Where each tensor starts, and the bytes of all."""
    places: list[tuple[Initialiser, int]] = []
    at = 0
    for tensor in initialisers(shape):
        places.append((tensor, at))
        at += -(-tensor.bytes // _ALIGNMENT) * _ALIGNMENT
    return places, at


def _read_converted(shape: Shape, path: Path) -> dict[str, NDArray[Any]] | None:
    """The tensors of a whole and sound file, mapped into memory; None for any other."""
    import numpy as np

    places, length = _layout(shape)
    try:
        data = np.memmap(path, np.uint8, "c")  # private pages: onnxruntime asks for writable ones
    except (OSError, ValueError):
        return None
    if len(data) != length + _CHECKSUM_BYTES:
        return None
    if zlib.crc32(data[:length].data) != int.from_bytes(data[length:].tobytes(), "little"):
        return None
    return {
        tensor.name: data[start : start + tensor.bytes].view(tensor.type).reshape(tensor.shape)
        for tensor, start in places
    }


def _write_converted(tensors: Mapping[str, NDArray[Any]], shape: Shape, path: Path) -> None:
    """Written aside and renamed, so that another process sees all of it or nothing."""
    import numpy as np

    places, length = _layout(shape)
    data = np.zeros(length, np.uint8)
    for tensor, start in places:
        data[start : start + tensor.bytes] = tensors[tensor.name].reshape(-1).view(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".part", delete=False) as file:
        unfinished = Path(file.name)
        try:
            file.write(data.data)
            file.write(zlib.crc32(data.data).to_bytes(_CHECKSUM_BYTES, "little"))
            file.close()
            unfinished.replace(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
