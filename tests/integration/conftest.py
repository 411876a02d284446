"""Where the vectors of a test are indexed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.chroma_process import ChromaProcess
from support.knowledge import INDEX_VARIABLE, STORE_VARIABLE

from aivax_cli.retrieval import indexes


@pytest.fixture(scope="session")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaProcess]:
    """A Chroma server that tests share: whatever they make there has a name of its own."""
    process = ChromaProcess(tmp_path_factory.mktemp("chroma-server"))
    process.start()
    yield process
    process.close()


@pytest.fixture(params=["embedded", "server"])
def vector_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test with Chroma in a folder, and once more with Chroma on a server.

    Searches ask Chroma, however small the collection is; those of `support.knowledge` do so in other
    processes too.
    """
    if request.param == "server":
        monkeypatch.setenv(STORE_VARIABLE, request.getfixturevalue("chroma").url)
    monkeypatch.setenv(INDEX_VARIABLE, "chroma")
    monkeypatch.setattr(indexes, "EXACT_LIMIT", -1)
    return str(request.param)
