"""The scale of scores: cosines become similarities that mean the same for every embedder and collection.

Embedders bunch their cosines: two unrelated texts have 0.75 to 0.83 with multilingual-e5, about 0.1 with
others. A similarity is how far a cosine lies above that background μ, on the way to 1: `(cos - μ) / (1 - μ)`.

μ depends on the collection: documents about one subject lie closer together. It is measured at ingest with
the openings of some chunks in the place of questions, against chunks of other documents. On the English and
Portuguese benchmark set it is 0.746 and 0.827 where real questions give 0.751 and 0.820. A few chunks
say little, so the measured value is weighed against the embedder's own, which comes from the fixed, unrelated
texts below.

μ depends on the question, too: one in another language than the documents has lower cosines with all of them.
So at search time the collection's μ gives way to the median cosine of the question itself with chunks from
all over the collection, the more of them the more (`asked`). `benchmarks/retrieval.py` prints what right
passages and other hits score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aivax_cli.retrieval.embedding.base import Embedder

SAMPLE_CHUNKS = 48
"""Chunks measured: some 2,000 pairs, whose median moves by less than 0.005 from sample to sample."""

OPENING_WORDS = 20
"""Words of a chunk that stand for a question."""

PRIOR_CHUNKS = 12
"""How many chunks the embedder's own background weighs as much as."""

ASKED_CHUNKS = 128
"""Chunks that a question is compared with to find its own background."""

GROWTH = 1.5
"""μ is measured again when a collection has grown or shrunk by this factor."""

HIGHEST = 0.98
"""A background above this (a collection of near-identical texts) would leave no room for scores."""

_UNRELATED: tuple[tuple[tuple[str, str], ...], ...] = (
    (
        ("How long do cats sleep?", "Cats spend twelve to sixteen hours a day asleep, mostly in short naps."),
        (
            "Who wrote the first tax law?",
            "The city council met on Tuesday and put off the vote on the bridge.",
        ),
        (
            "What does the red lamp mean?",
            "Bread rises because yeast turns sugar into gas that the dough holds.",
        ),
        (
            "Which port does the server use?",
            "The glacier has lost a third of its ice within a single lifetime.",
        ),
        ("When was the piano invented?", "Invoices are due within thirty days and are sent by e-mail only."),
        ("Why do leaves turn yellow?", "To reset the router, hold the button on its back for ten seconds."),
        (
            "How many players are in a team?",
            "The violin's body is made of spruce and maple, glued with hide glue.",
        ),
        ("Where is the warranty described?", "Rain is expected in the north, while the coast will stay dry."),
    ),
    (
        (
            "Quanto tempo dormem os gatos?",
            "Os gatos dormem de doze a dezesseis horas por dia, em cochilos curtos.",
        ),
        (
            "Quem escreveu a primeira lei fiscal?",
            "A câmara reuniu-se na terça-feira e adiou o voto da ponte.",
        ),
        ("O que significa a luz vermelha?", "O pão cresce porque o fermento transforma o açúcar em gás."),
        ("Qual porta o servidor usa?", "A geleira perdeu um terço do seu gelo em uma única geração."),
        ("Quando o piano foi inventado?", "As faturas vencem em trinta dias e são enviadas só por e-mail."),
        ("Por que as folhas ficam amarelas?", "Para reiniciar o roteador, segure o botão por dez segundos."),
        ("Quantos jogadores tem um time?", "O corpo do violino é feito de abeto e bordo, colados a quente."),
        ("Onde está descrita a garantia?", "Espera-se chuva no norte, enquanto a costa seguirá seca."),
    ),
)


def similarity(cosine: float, background: float | None) -> float:
    """How far a cosine lies above the background: 0 is unrelated, 1 identical; may be below 0.

    A collection that nothing was measured for yet counts as one of background 0.
    """
    floor = background or 0.0
    return (cosine - floor) / (1.0 - floor)


def opening(text: str) -> str:
    """The first words of a chunk, which stand for a question about it."""
    return " ".join(text.split()[:OPENING_WORDS])


def prior(embedder: Embedder) -> tuple[float, int]:
    """The embedder's own background, and the tokens that finding it took.

    Texts are compared across pairs, within a language; a pair itself may be related and is left out.
    """
    import numpy as np

    cosines = []
    tokens = 0
    for pairs in _UNRELATED:
        questions = embedder.embed_queries([question for question, _ in pairs])
        passages = embedder.embed_passages([passage for _, passage in pairs])
        tokens += questions.tokens + passages.tokens
        matrix = questions.vectors @ passages.vectors.T
        cosines.extend(matrix[~np.eye(len(pairs), dtype=bool)].tolist())
    return float(np.median(cosines)), tokens


def measured(
    questions: NDArray[np.float32], passages: NDArray[np.float32], documents: Sequence[str]
) -> float | None:
    """The median cosine of questions and passages of different documents; row i of both is of `documents[i]`.

    With a single document, passages of its other parts are taken. None when there is no pair at all.
    """
    import numpy as np

    names = np.array(documents)
    apart = names[:, None] != names[None, :]
    if not apart.any():
        apart = ~np.eye(len(documents), dtype=bool)
    if not apart.any():
        return None
    return float(np.median((questions @ passages.T)[apart]))


def blended(measured: float | None, chunks: int, prior: float) -> float:
    """The measured background, weighed against the embedder's own by how many chunks were measured."""
    if measured is None:
        return min(HIGHEST, prior)
    weight = chunks / (chunks + PRIOR_CHUNKS)
    return min(HIGHEST, weight * measured + (1 - weight) * prior)


def asked(cosines: NDArray[np.float32], background: float) -> float:
    """The background of one question: the median of its `cosines` with chunks from all over the collection.

    Weighed against the collection's own `background`, because among few chunks the right one weighs heavily.
    """
    import numpy as np

    return blended(float(np.median(cosines)) if len(cosines) else None, len(cosines), background)


def outgrown(chunks: int, measured_at: int) -> bool:
    """Whether a collection of `chunks` has changed too much since μ was measured at `measured_at`."""
    return measured_at == 0 or not measured_at / GROWTH < chunks < measured_at * GROWTH
