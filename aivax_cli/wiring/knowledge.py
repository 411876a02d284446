"""Embedders, and collections to be filled and searched."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aivax_cli.wiring.adapters import ledger
from aivax_cli.wiring.late import Late

if TYPE_CHECKING:
    from aivax_cli.assets.store import AssetStore
    from aivax_cli.core.ports import EmbeddingEndpoint
    from aivax_cli.core.types import ModelTarget
    from aivax_cli.gateway.knowledge import EmbedderModel
    from aivax_cli.gateway.workspace import Workspace
    from aivax_cli.ingest.plan import Estimator
    from aivax_cli.retrieval.chroma_server import ServerAddress
    from aivax_cli.retrieval.embedding.base import Embedder
    from aivax_cli.retrieval.search import KnowledgeBase


WrapEndpoint = Callable[["EmbeddingEndpoint", str], "EmbeddingEndpoint"]


def built_in_embedder(store: AssetStore) -> Embedder:
    """multilingual-e5-small on this machine; loaded when the first text is embedded."""
    from aivax_cli.retrieval.embedding.e5 import E5Embedder

    return E5Embedder.from_store(store)


def as_it_is(endpoint: EmbeddingEndpoint, model: str) -> EmbeddingEndpoint:
    """The endpoint itself: nothing is recorded."""
    del model
    return endpoint


def collection_embedder(
    workspace: Workspace,
    name: str,
    store: AssetStore,
    environ: Mapping[str, str] = os.environ,
    *,
    wrap: WrapEndpoint = as_it_is,
) -> Embedder:
    """The embedder that a collection's file names. Nothing is loaded or called before the first text.

    `wrap` gets the endpoint of a remote one and its model's name, and returns what is called instead.

    Raises DefinitionError when the file is wrong, UsageError or NotFoundError when its model is unknown.
    """
    given = workspace.collection_definition(name).embedder
    if isinstance(given, str):
        return built_in_embedder(store)
    return _remote_embedder(workspace, name, given, environ, wrap)


def _remote_embedder(
    workspace: Workspace, name: str, given: EmbedderModel, environ: Mapping[str, str], wrap: WrapEndpoint
) -> Embedder:
    from aivax_cli.ingest.tokens import estimate_tokens
    from aivax_cli.model.embeddings import HttpEmbeddingEndpoint
    from aivax_cli.model.keys import Keys
    from aivax_cli.model.posting import Patience
    from aivax_cli.retrieval.embedding.remote import EmbeddingModel, RemoteEmbedder
    from aivax_cli.usage.price_book import GenaiPriceBook

    target = _embedding_target(workspace, given)
    model = EmbeddingModel(
        target.label,
        target.base_url,
        target.name,
        given.dimensions,
        given.query_prefix,
        given.passage_prefix,
    )
    patience = Patience(read_s=given.timeout_s)
    keys = Keys(environ, workspace.root)
    endpoint = HttpEmbeddingEndpoint(
        target, environ, dimensions=given.dimensions, patience=patience, keys=keys
    )
    return RemoteEmbedder(
        model,
        wrap(endpoint, target.name),
        count_tokens=estimate_tokens,
        prices=lambda: GenaiPriceBook().input_prices(target),
        batch=given.batch,
        dimension=_indexed_dimension(workspace, name, model.fingerprint),
    )


def _embedding_target(workspace: Workspace, given: EmbedderModel) -> ModelTarget:
    from aivax_cli.gateway.providers import resolve_model
    from aivax_cli.usage.pricing import reading_prices

    target = resolve_model(given.model, workspace.providers())
    if given.price is not None:
        target = replace(target, free=False, prices=reading_prices(given.price))
    return target


def embedding_targets(workspace: Workspace, names: Sequence[str]) -> tuple[ModelTarget, ...]:
    """The models behind endpoints that embed for these collections, each once; the built-in one is none.

    Raises as `collection_embedder` does.
    """
    given = (workspace.collection_definition(name).embedder for name in names)
    found = (_embedding_target(workspace, each) for each in given if not isinstance(each, str))
    return tuple(dict.fromkeys(found))


def indexing_estimator(workspace: Workspace, name: str, store: AssetStore) -> Estimator:
    """What indexing into a collection takes, without fetching or calling anything.

    Without the built-in model's own tokenizer, which comes with its weights, tokens are estimated.
    """
    from aivax_cli.ingest.plan import Estimator, measured_speed
    from aivax_cli.ingest.tokens import estimate_tokens
    from aivax_cli.retrieval.embedding import e5
    from aivax_cli.usage.price_book import GenaiPriceBook
    from aivax_cli.usage.pricing import FREE

    given = workspace.collection_definition(name).embedder
    embedder = collection_embedder(workspace, name, store)
    speed = measured_speed(workspace.state_dir, embedder.fingerprint)
    if not isinstance(given, str):
        prices = GenaiPriceBook().input_prices(_embedding_target(workspace, given))
        return Estimator(embedder.name, embedder.fingerprint, estimate_tokens, 0, prices, speed, exact=False)
    exact = store.present(e5.ASSET_NAME)
    return Estimator(
        embedder.name,
        embedder.fingerprint,
        embedder.count_tokens if exact else estimate_tokens,
        e5.TOKENS_A_TEXT,
        FREE,
        speed or e5.TOKENS_PER_S,
        exact,
    )


def _indexed_dimension(workspace: Workspace, name: str, fingerprint: str) -> int | None:
    """The dimension of a collection's vectors, when that embedder made them."""
    from aivax_cli.retrieval.catalogue import Catalogue

    catalogue = Catalogue.open(workspace.state_dir)
    if catalogue is None:
        return None
    try:
        with catalogue.reading() as reader:
            found = reader.collection(name)
    finally:
        catalogue.close()
    return found.embedder.dimension if found and found.embedder.fingerprint == fingerprint else None


def indexing_embedder(
    workspace: Workspace,
    name: str,
    store: AssetStore,
    environ: Mapping[str, str] = os.environ,
    *,
    on_problem: Callable[[str], None],
) -> Embedder:
    """The same for filling a collection: what it reads is charged as it goes.

    `on_problem` is told once when the ledger cannot be written. Raises as `collection_embedder` does.
    """
    from aivax_cli.gateway.ids import new_id
    from aivax_cli.usage.indexing import ChargedEmbedder

    embedder = collection_embedder(workspace, name, store, environ)
    return ChargedEmbedder(embedder, ledger(workspace), turn_id=new_id(), on_problem=on_problem)


def vector_server(workspace: Workspace, environ: Mapping[str, str] = os.environ) -> ServerAddress | None:
    """The Chroma server that `store:` names; None without one. Nothing is asked yet.

    A key that is not set is the address's problem, for whoever asks: searches have the catalogue. Raises
    DefinitionError when `aivax.yaml` is wrong.
    """
    from aivax_cli.retrieval.chroma_server import ServerAddress

    given = workspace.settings().store
    if given is None:
        return None
    address = ServerAddress(given.url, given.tenant, given.database)
    if given.api_key_env is None:
        return address
    key = environ.get(given.api_key_env, "").strip()
    problem = None
    if not key:
        problem = f"the environment variable {given.api_key_env} is not set"
    elif not (key.isascii() and key.isprintable() and " " not in key):
        problem = f"the environment variable {given.api_key_env} holds what cannot be a key"
    return replace(address, token=key or None, token_source=given.api_key_env, problem=problem)


class LateKnowledge(Late["KnowledgeBase"]):
    """A workspace's collections, opened when something is first searched: most gateways of a workspace may
    have none, and what searches takes a while to load."""

    def close(self) -> None:
        """Ends what was opened."""
        if self._opened is not None:
            self._opened.close()


def knowledge_base(
    workspace: Workspace,
    store: AssetStore,
    environ: Mapping[str, str] = os.environ,
    *,
    wrap: WrapEndpoint = as_it_is,
    traced: Callable[[Embedder], Embedder] | None = None,
) -> KnowledgeBase:
    """The workspace's collections, for searching, each with its own embedder. The caller closes it.

    `wrap` is as in `collection_embedder`; `traced` gets each embedder and returns what is asked instead.
    """
    from aivax_cli.retrieval.search import KnowledgeBase

    built_in = built_in_embedder(store)  # one for all: its weights are loaded once
    own: dict[str, Embedder] = {}

    def embedder(name: str) -> Embedder:
        if name not in own:
            found = collection_embedder(workspace, name, store, environ, wrap=wrap)
            own[name] = built_in if found.fingerprint == built_in.fingerprint else found
        return traced(own[name]) if traced else own[name]

    def close() -> None:
        from aivax_cli.retrieval.embedding.remote import RemoteEmbedder

        for each in own.values():
            if isinstance(each, RemoteEmbedder):
                each.close()

    server = vector_server(workspace, environ)
    return KnowledgeBase(workspace.state_dir, embedder, server=server, on_close=close)
