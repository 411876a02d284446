"""The remote embedder against real endpoints."""

import threading
import time
from decimal import Decimal

import numpy as np  # noqa: TID253
import pytest
from support.calling import QUICK, target
from support.embedding_server import embeddings
from support.knowledge import HashEmbedder
from support.patience import PATIENT_S
from support.upstream import Answer, Upstream, html, json_answer, silence, status

from aivax_cli.core.errors import KeyMissingError, ModelError
from aivax_cli.core.types import Prices
from aivax_cli.model import posting
from aivax_cli.model.embeddings import HttpEmbeddingEndpoint
from aivax_cli.model.posting import Patience
from aivax_cli.retrieval.embedding.remote import EmbeddingModel, RemoteEmbedder

TEXTS = [f"text {number} of many" for number in range(10)]
PRICES = Prices(Decimal("0.00000002"), Decimal(0))


def embedder(upstream, *, batch=4, dimension=None, environ=None, key_env=None, **model):
    """An embedder that counts a token a word where nobody else does."""
    where = target(upstream.url, api_key_env=key_env)
    endpoint = HttpEmbeddingEndpoint(
        where, environ or {}, dimensions=model.get("dimensions"), patience=Patience(retry=QUICK)
    )
    return RemoteEmbedder(
        EmbeddingModel(where.label, where.base_url, where.name, **model),
        endpoint,
        count_tokens=lambda texts: [len(text.split()) for text in texts],
        prices=lambda: PRICES,
        batch=batch,
        dimension=dimension,
    )


def answer(*vectors, **more):
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return json_answer({"data": data, **more})


@pytest.mark.parametrize("shape", [{}, {"base64_vectors": True}, {"backwards": True}])
def test_vectors_are_those_of_their_texts_at_length_1_whatever_the_shape_of_the_answer(shape):
    with Upstream(embeddings(**shape)) as upstream:
        found = embedder(upstream).embed_passages(TEXTS)
    wanted = HashEmbedder(dimension=32).embed_queries(TEXTS).vectors
    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(found.vectors, wanted, atol=1e-6)
    assert (found.tokens, found.prices) == (40, PRICES)


def test_texts_are_sent_in_batches_and_progress_is_told_in_the_callers_thread():
    told = []
    with Upstream(embeddings()) as upstream:
        embedder(upstream).embed_passages(TEXTS, lambda done: told.append((done, threading.current_thread())))
    assert sorted(len(body["input"]) for body in upstream.bodies) == [2, 4, 4]
    assert told == [(done, threading.current_thread()) for done in (4, 4, 2)]
    assert {request.path for request in upstream.requests} == {"/v1/embeddings"}


def test_questions_and_passages_have_prefixes_of_their_own():
    with Upstream(embeddings()) as upstream:
        prefixed = embedder(upstream, query_prefix="query: ", passage_prefix="passage: ")
        prefixed.embed_queries(["a"])
        prefixed.embed_passages(["b"])
    assert [body["input"] for body in upstream.bodies] == [["query: a"], ["passage: b"]]


def test_dimensions_are_asked_for_only_where_they_are_given():
    with Upstream(embeddings(48)) as upstream:
        assert embedder(upstream).dimension == 48
        assert embedder(upstream, dimensions=16).embed_queries(["a"]).vectors.shape == (1, 16)
    assert ["dimensions" in body for body in upstream.bodies] == [False, True]


def test_finding_the_dimension_is_accounted_for_once():
    with Upstream(embeddings(48)) as upstream:
        unknown = embedder(upstream)
        assert (unknown.dimension, unknown.dimension) == (48, 48)
        assert unknown.embed_queries(["two words"]).tokens == 3
        assert unknown.embed_queries(["two words"]).tokens == 2
    assert len(upstream.requests) == 3


def test_a_known_dimension_is_not_asked_for():
    with Upstream() as upstream:
        assert embedder(upstream, dimension=48).dimension == 48
        assert embedder(upstream, dimensions=24).dimension == 24
    assert upstream.requests == []


def test_tokens_are_counted_where_the_endpoint_does_not_say():
    with Upstream(embeddings(tokens=False)) as upstream:
        assert embedder(upstream, query_prefix="query: ").embed_queries(["two words"]).tokens == 3


def test_no_texts_ask_nobody():
    with Upstream() as upstream:
        found = embedder(upstream, dimension=8).embed_passages([])
    assert (found.vectors.shape, found.tokens, upstream.requests) == ((0, 8), 0, [])


def test_a_failure_that_passes_is_tried_again():
    with Upstream(status(429, retry_after=0), status(503), embeddings()) as upstream:
        assert len(embedder(upstream).embed_queries(["a"]).vectors) == 1
    assert len(upstream.requests) == 3


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (status(500, "boom"), "test failed (HTTP 500): boom"),
        (status(400, "input too long"), "refused the request (HTTP 400): input too long"),
        (html(), "a web page (HTML), not with embeddings"),
        (json_answer({"choices": []}), "JSON without data"),
        (answer(), "0 vectors for 2 texts"),
        (answer([1, 0]), "1 vectors for 2 texts"),
        (answer([1, 0], [1, 0], [1, 0]), "3 vectors for 2 texts"),
        (
            json_answer({"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}),
            "2 vectors for 2 texts",
        ),
        (answer([1, 0], [1, 0, 0]), "a vector of 3 components, not of 2"),
        (answer([1, 0], [float("nan"), 1]), "is not a number or has no length"),
        (answer([1, 0], [0, 0]), "is not a number or has no length"),
        (answer([1, 0], [1e300, 0]), "no vector of numbers"),
        (answer([1, 0], ["a", "b"]), "no vector of numbers"),
        (answer([1, 0], None), "no vector of numbers"),
        (answer("AACAPw==", "AACA"), "no vector of numbers"),
    ],
)
def test_an_answer_that_is_none_is_refused(script, told):
    with Upstream(script) as upstream, pytest.raises(ModelError) as caught:
        embedder(upstream).embed_queries(["a", "b"])
    assert told in str(caught.value)


def test_an_answer_without_end_is_given_up_while_it_comes(monkeypatch):
    monkeypatch.setattr(posting, "MAX_BYTES", 1024**2)
    endless = Answer((b" " * 65_536,) * 10_000)
    with Upstream(endless) as upstream:
        with pytest.raises(ModelError, match="sent more than 1 MiB for embeddings"):
            embedder(upstream).embed_queries(["a"])
        assert upstream.disconnected.wait(PATIENT_S)
    assert len(upstream.requests) == 1


def test_another_dimension_than_the_indexs_is_refused():
    with Upstream(embeddings(32)) as upstream, pytest.raises(ModelError, match="32 components, not of 64"):
        embedder(upstream, dimension=64).embed_queries(["a"])


def test_keys_go_to_the_endpoint_and_into_no_message():
    secret = "sk-secret-123456"
    with Upstream(status(401, f"bad key {secret}")) as upstream:
        with pytest.raises(ModelError) as refused:
            embedder(upstream, key_env="EMBED_KEY", environ={"EMBED_KEY": secret}).embed_queries(["a"])
        with pytest.raises(KeyMissingError, match="EMBED_KEY is not set"):
            embedder(upstream, key_env="EMBED_KEY").embed_queries(["a"])
    assert upstream.requests[0].headers["authorization"] == f"Bearer {secret}"
    assert len(upstream.requests) == 1
    assert "secret" not in str(refused.value)


def test_connections_are_kept():
    with Upstream(embeddings()) as upstream:
        kept = embedder(upstream)
        kept.embed_queries(["a"])
        kept.embed_queries(["b"])
    assert len({request.port for request in upstream.requests}) == 1


def test_closing_ends_the_wait_for_an_endpoint_that_is_silent():
    raised = []

    def ask(waiting):
        try:
            waiting.embed_queries(["a"])
        except ModelError as error:
            raised.append(error.message)

    with Upstream(silence()) as upstream:
        waiting = embedder(upstream)
        thread = threading.Thread(target=ask, args=(waiting,))
        thread.start()
        while not upstream.requests:
            time.sleep(0.01)
        waiting.close()
        thread.join(PATIENT_S)
        upstream.answers(embeddings())
        assert len(waiting.embed_queries(["a"]).vectors) == 1
    assert raised == ["embedding with @test/m was given up"]


def test_a_batch_that_fails_keeps_later_ones_from_being_sent():
    with Upstream(status(400, "no")) as upstream, pytest.raises(ModelError):
        embedder(upstream, batch=1).embed_passages([str(number) for number in range(100)])
    assert len(upstream.requests) < 100


def test_the_embedded_engine_serves_no_embeddings():
    local = target("", provider="local", label="@local/m")
    with pytest.raises(ModelError, match="the embedded engine serves no embeddings"):
        HttpEmbeddingEndpoint(local, {}).embed(["a"])


def test_the_fingerprint_changes_with_everything_that_changes_vectors():
    models = [
        EmbeddingModel("@a/m", "http://a/v1", "m"),
        EmbeddingModel("@a/m", "http://b/v1", "m"),
        EmbeddingModel("@a/m", "http://a/v1", "n"),
        EmbeddingModel("@a/m", "http://a/v1", "m", 8),
        EmbeddingModel("@a/m", "http://a/v1", "m", None, "q"),
        EmbeddingModel("@a/m", "http://a/v1", "m", None, "", "q"),
    ]
    assert len({model.fingerprint for model in models}) == len(models)
    assert models[0].fingerprint == EmbeddingModel("other label", "http://a/v1/", "m").fingerprint
