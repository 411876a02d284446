"""The built-in embedder with its real weights."""

import os
import subprocess
import sys
import unicodedata
from math import erf
from pathlib import Path

import numpy as np  # noqa: TID253 - only --help must start quickly, not a test
import pytest

from aivax_cli.assets.store import AssetStore
from aivax_cli.core.errors import AssetError
from aivax_cli.retrieval.embedding.e5 import E5Embedder
from aivax_cli.retrieval.embedding.graph import GRAPH_FILE
from aivax_cli.retrieval.embedding.weights import E5Weights

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def weights_file() -> Path:
    return AssetStore.from_environment(os.environ).path("e5-small")


def embedder_of(weights_file: Path, cache: Path, threads: int | None = None) -> E5Embedder:
    return E5Embedder(lambda: weights_file, weights_sha256="test", cache_dir=cache, threads=threads)


@pytest.fixture(scope="module")
def embedder(weights_file: Path, tmp_path_factory: pytest.TempPathFactory) -> E5Embedder:
    return embedder_of(weights_file, tmp_path_factory.mktemp("cache"))


def converted_file(cache: Path) -> Path:
    (file,) = (cache / "converted").iterdir()
    return file


QUESTIONS = [
    "How is the cost of an answer computed?",
    "Como é calculado o custo de uma resposta?",
    "¿Cómo se calcula el coste de una respuesta?",
]
PASSAGES = [
    "O custo de uma resposta é a soma dos tokens de cada tipo multiplicados pelo preço de cada um.",
    "The bread dough rests for an hour in a warm place before it goes into the oven.",
    "A capital da Austrália é Camberra, e não Sydney, como muitos pensam.",
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_finds_its_passage_in_another_language(embedder: E5Embedder, question: str) -> None:
    scores = embedder.embed_passages(PASSAGES).vectors @ embedder.embed_queries([question]).vectors[0]
    assert scores[0] > max(scores[1:]) + 0.04


def test_vectors_are_those_of_the_same_network_in_float32(embedder: E5Embedder, weights_file: Path) -> None:
    text = "query: " + QUESTIONS[0]
    exact = reference_vector(E5Weights.open(weights_file), text)
    assert embedder.embed_queries(QUESTIONS[:1]).vectors[0] @ exact > 0.997


def test_vectors_have_length_one_and_the_stated_dimension(embedder: E5Embedder) -> None:
    vectors = embedder.embed_passages(PASSAGES).vectors
    assert vectors.shape == (len(PASSAGES), embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)


def test_a_vector_is_the_same_alone_and_among_others(embedder: E5Embedder) -> None:
    together = embedder.embed_passages([*PASSAGES, "word " * 600, ""]).vectors
    alone = [embedder.embed_passages([passage]).vectors[0] for passage in PASSAGES]
    assert np.array_equal(together[: len(PASSAGES)], alone)


def test_no_texts_give_no_vectors(embedder: E5Embedder) -> None:
    embedded = embedder.embed_passages([])
    assert embedded.vectors.shape == (0, embedder.dimension)
    assert embedded.tokens == 0


@pytest.mark.parametrize("text", ["", " \n\t ", "\ud800", "\x00", "🙂" * 2000, "a" * 100_000])
def test_odd_texts_have_finite_vectors(embedder: E5Embedder, text: str) -> None:
    assert np.isfinite(embedder.embed_queries([text]).vectors).all()


def test_a_long_text_is_read_to_the_models_limit(embedder: E5Embedder) -> None:
    text = "one two three " * 1000
    embedded = embedder.embed_passages([text, text + "four " * 1000])
    assert embedded.tokens == 2 * embedder.max_tokens
    assert np.array_equal(*embedded.vectors)


def test_tokens_are_counted_with_prefix_and_special_ones(embedder: E5Embedder) -> None:
    (bare,) = embedder.count_tokens(["query: how much?"])
    assert embedder.embed_queries(["how much?"]).tokens == bare + 2


def test_progress_is_told_as_texts_finish(embedder: E5Embedder) -> None:
    told: list[int] = []
    embedder.embed_passages(PASSAGES, told.append)
    assert sum(told) == len(PASSAGES)


def test_threads_do_not_change_vectors(weights_file: Path, tmp_path: Path) -> None:
    one, three = (embedder_of(weights_file, tmp_path, threads) for threads in (1, 3))
    assert np.array_equal(one.embed_passages(PASSAGES).vectors, three.embed_passages(PASSAGES).vectors)


def test_a_second_start_uses_the_converted_weights(weights_file: Path, tmp_path: Path) -> None:
    first = embedder_of(weights_file, tmp_path).embed_queries(QUESTIONS).vectors
    before = converted_file(tmp_path).stat()
    second = embedder_of(weights_file, tmp_path).embed_queries(QUESTIONS).vectors
    after = converted_file(tmp_path).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert np.array_equal(first, second)


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_damaged_converted_weights_are_made_anew(weights_file: Path, tmp_path: Path, damage: str) -> None:
    sound = embedder_of(weights_file, tmp_path).embed_queries(QUESTIONS).vectors
    file = converted_file(tmp_path)
    data = bytearray(file.read_bytes())
    data[10_000_000] ^= 1
    file.write_bytes({"flip": bytes(data), "truncate": bytes(data[:-1000]), "empty": b""}[damage])
    again = embedder_of(weights_file, tmp_path).embed_queries(QUESTIONS).vectors
    assert np.array_equal(sound, again)
    assert len(file.read_bytes()) == len(data)


def test_a_cache_that_cannot_be_written_only_costs_time(weights_file: Path, tmp_path: Path) -> None:
    (tmp_path / "converted").write_text("a file, no folder")
    assert embedder_of(weights_file, tmp_path).embed_queries(QUESTIONS).tokens > 0


def test_a_file_of_another_kind_is_a_clear_error(tmp_path: Path) -> None:
    other = tmp_path / "weights.bin"
    other.write_bytes(b"E5S1" + b"\x07" * 500)
    with pytest.raises(AssetError, match="not a usable E5S1 weight file"):
        embedder_of(other, tmp_path).embed_queries(["x"])


def test_the_fingerprint_changes_with_the_weights(weights_file: Path, tmp_path: Path) -> None:
    one, other = (
        E5Embedder(lambda: weights_file, weights_sha256=digest, cache_dir=tmp_path) for digest in ("a", "b")
    )
    assert one.fingerprint != other.fingerprint


def test_the_committed_graph_is_what_its_script_makes(tmp_path: Path) -> None:
    committed = ROOT / "aivax_cli" / "retrieval" / "embedding" / GRAPH_FILE
    code = "import sys; sys.path.insert(0, sys.argv[1]); from make_e5_graph import make_graph; "
    code += "sys.stdout.buffer.write(make_graph())"
    made = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "tools")], capture_output=True, check=True, timeout=60
    )
    assert made.stdout == committed.read_bytes()


def test_tokens_are_those_of_the_library_tokenizers(weights_file: Path) -> None:
    tokenizer = E5Weights.open(weights_file).tokenizer
    library = library_tokenizer(tokenizer)
    texts = [path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("*.md"))]
    texts += [
        *QUESTIONS,
        *PASSAGES,
        "日本語のテキスト",
        "Ελληνικά, русский, עברית",
        "x=1;y[2]+=3 https://a.b/c?d=e#f",
    ]
    for text in texts:
        folded = unicodedata.normalize("NFC", text).translate(tokenizer._folds)
        expected = library.encode(" ".join(folded.split()), add_special_tokens=False).ids
        assert tokenizer.encode(text) == expected


def library_tokenizer(tokenizer):
    from tokenizers import Tokenizer, models, pre_tokenizers

    scores = list(tokenizer._scores)
    names = [f"<special {index}>" for index in range(len(scores))]
    for piece, index in tokenizer._pieces.items():
        names[index] = piece
    library = Tokenizer(models.Unigram(list(zip(names, scores, strict=True)), unk_id=tokenizer._unknown_id))
    library.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    return library


def reference_vector(weights: E5Weights, text: str) -> np.ndarray:
    """multilingual-e5-small in numpy, as its paper and BERT's describe it: no code shared with the graph."""
    hidden, heads = weights.shape.hidden, weights.shape.heads
    ids = np.array([weights.bos_id, *weights.tokenizer.encode(text), weights.eos_id])
    places = weights.matrix("emb.pos", hidden)[: len(ids)]
    x = normed(weights, "emb.ln", weights.word_rows(ids) + places + weights.matrix("emb.type", hidden)[0])
    for layer in (f"l{index}" for index in range(weights.shape.layers)):
        q, k, v = (
            linear(weights, f"{layer}.{side}", x).reshape(len(ids), heads, -1).swapaxes(0, 1)
            for side in "qkv"
        )
        logits = q @ k.swapaxes(1, 2) / np.sqrt(hidden // heads)
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        mixed = (shares / shares.sum(axis=-1, keepdims=True)) @ v
        x = normed(
            weights, f"{layer}.aln", x + linear(weights, f"{layer}.ao", mixed.swapaxes(0, 1).reshape(x.shape))
        )
        inner = linear(weights, f"{layer}.fi", x)
        active = inner * 0.5 * (1 + np.vectorize(erf)(inner / np.sqrt(2)))
        x = normed(weights, f"{layer}.oln", x + linear(weights, f"{layer}.fo", active))
    mean = x.mean(axis=0)
    return mean / np.linalg.norm(mean)


def linear(weights: E5Weights, name: str, x: np.ndarray) -> np.ndarray:
    return x @ weights.matrix(f"{name}.w", x.shape[-1]).T + weights.vector(f"{name}.b")


def normed(weights: E5Weights, name: str, x: np.ndarray) -> np.ndarray:
    spread = np.sqrt(x.var(axis=-1, keepdims=True) + weights.shape.epsilon)
    return (x - x.mean(axis=-1, keepdims=True)) / spread * weights.vector(f"{name}.w") + weights.vector(
        f"{name}.b"
    )
