"""Searching real stores."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.knowledge import HashEmbedder, open_knowledge, run_ingest, write_files
from support.patience import PATIENT_S

from aivax_cli.core.errors import KnowledgeError, ModelError, NotFoundError
from aivax_cli.core.types import FREE, EmbeddingUse, Passage, RetrievalLimits
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.search import CollectionSearch, KnowledgeBase

pytestmark = pytest.mark.usefixtures("vector_store")

ANY = RetrievalLimits(min_score=0.0)
INGEST = """
import sys
from pathlib import Path
from support.knowledge import run_ingest
run_ingest(Path(sys.argv[1]))
"""
SUBJECTS = {
    "cost": "The cost of a request is counted in tokens and shown in dollars.",
    "cats": "Cats sleep most of the day and hunt at night.",
    "bread": "Bread rises because yeast turns sugar into gas.",
    "nations": "As nações unidas reúnem-se todos os anos em Nova Iorque.",
    "error": "The device answers ERR-4512 when its valve is stuck.",
    "glacier": "Glaciers carve valleys over thousands of winters.",
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    write_files(tmp_path, {f"docs/{name}.md": f"# {name}\n\n{text}\n" for name, text in SUBJECTS.items()})
    run_ingest(tmp_path)
    return tmp_path


@pytest.fixture
def knowledge(base: Path):
    knowledge = open_knowledge(base)
    yield knowledge
    knowledge.close()


def names(passages: tuple[Passage, ...]) -> list[str]:
    return [Path(passage.source.document).stem for passage in passages]


@pytest.mark.parametrize(
    "question",
    [
        'cost" OR "cats', "cost OR AND NOT NEAR(", "tokens:cost", "{tokens}: cost", "cost*", "^cost", "-cost",
        "cost'; DROP TABLE documents; --", "\x00cost", "cost \ud800", "(((cost", "cost + + +", "“cost”",
    ],
)  # fmt: skip
def test_what_is_syntax_to_fts5_is_text_here(knowledge, question):
    assert names(knowledge.search(["kb"], [question], ANY).passages)[0] in {"cost", "cats"}


def test_a_question_of_stop_words_or_signs_is_left_to_the_vectors(knowledge):
    assert len(knowledge.search(["kb"], ["what is it?"], ANY).passages) == 5
    assert len(knowledge.search(["kb"], ["?!"], ANY).passages) == 5


def test_the_words_of_a_page_long_question_are_found(knowledge):
    question = " ".join(f"filler{number}" for number in range(5000)) + " yeast"
    evidence, documents = knowledge.evidence("kb", question)
    assert [documents[hit] for hit in evidence.lexical] == ["docs/bread.md"]


def test_words_are_found_without_their_diacritics_and_in_other_forms(knowledge):
    assert names(knowledge.search(["kb"], ["nacao"], ANY).passages)[0] == "nations"
    assert names(knowledge.search(["kb"], ["glacier winter"], ANY).passages)[0] == "glacier"


def test_an_exact_code_passes_min_score_on_its_words(knowledge):
    found = knowledge.search(["kb"], ["ERR-4512"], RetrievalLimits(min_score=0.3)).passages
    assert names(found) == ["error"]


def test_what_nothing_answers_finds_nothing(knowledge):
    limits = RetrievalLimits(min_score=0.3)
    assert knowledge.search(["kb"], ["quantum chromodynamics lecture"], limits).passages == ()


def test_top_bounds_the_passages_and_ranks_count_from_one(knowledge):
    passages = knowledge.search(["kb"], ["cats bread"], RetrievalLimits(top=2, min_score=0.0)).passages
    assert [passage.rank for passage in passages] == [1, 2]
    assert set(names(passages)) == {"cats", "bread"}


def test_max_tokens_bounds_their_sum(base, knowledge):
    limits = RetrievalLimits(top=6, min_score=0.0, max_tokens=20)
    passages = knowledge.search(["kb"], ["cats"], limits).passages
    with Catalogue.open(base / ".aivax").reading() as reader:
        collection = reader.collection("kb")
        counted = {chunk.name: chunk.tokens for chunk in reader.document_summaries(collection.id)}
    assert passages
    assert sum(counted[passage.source.document] for passage in passages) <= 20


def test_several_terms_are_a_union_by_best_match(knowledge):
    passages = knowledge.search(["kb"], ["cats sleep", "yeast sugar", "cats sleep", " "], ANY).passages
    assert set(names(passages)[:2]) == {"cats", "bread"}
    assert len(set(names(passages))) == len(passages)


def test_no_terms_find_nothing(knowledge):
    assert knowledge.search(["kb"], ["", "  "], ANY).passages == ()


def test_tokens_of_the_question_are_counted(knowledge):
    result = knowledge.search(["kb"], ["cats sleep", "bread"], ANY)
    assert result.embeddings == (EmbeddingUse("hashing", 3, FREE),)


@pytest.mark.parametrize("reranker", ["fused", "rrf", "lexical", "none"])
def test_every_ranking_finds_the_passage(knowledge, reranker):
    limits = RetrievalLimits(min_score=0.0, reranker=reranker)
    assert names(knowledge.search(["kb"], ["cats hunt at night"], limits).passages)[0] == "cats"


def test_an_unknown_ranking_lists_the_choices(knowledge):
    with pytest.raises(NotFoundError, match="fused, lexical, none, rrf"):
        knowledge.search(["kb"], ["cats"], RetrievalLimits(reranker="magic"))


def test_an_unknown_collection_suggests_the_nearest_and_the_command(base, knowledge):
    run_ingest(base, collection="handbook")
    with pytest.raises(NotFoundError, match=r"did you mean 'handbook'\? or .*--collection handbok"):
        knowledge.search(["handbok"], ["cats"], ANY)


def test_a_workspace_without_knowledge_says_how_to_get_some(tmp_path):
    with pytest.raises(KnowledgeError, match="aivax ingest"):
        open_knowledge(tmp_path).search(["kb"], ["cats"], ANY)


def test_that_there_is_nothing_to_search_is_known_without_a_search(tmp_path):
    with pytest.raises(KnowledgeError, match="aivax ingest"):
        asyncio.run(CollectionSearch(open_knowledge(tmp_path), ["kb"]).ready())


def test_a_filled_collection_is_ready_and_an_unknown_one_is_not(knowledge):
    asyncio.run(CollectionSearch(knowledge, ["kb"]).ready())
    with pytest.raises(NotFoundError, match="no collection named 'kbx'"):
        asyncio.run(CollectionSearch(knowledge, ["kbx"]).ready())


def test_another_embedders_collection_is_refused(base):
    with pytest.raises(KnowledgeError, match=r"aivax ingest docs --collection kb --reindex"):
        open_knowledge(base, HashEmbedder("hash/2")).search(["kb"], ["cats"], ANY)


def test_what_one_embedder_read_is_spent_though_the_next_one_fails(base):
    class Failing(HashEmbedder):
        def embed_queries(self, texts):
            raise ModelError("boom")

    write_files(base, {"more/dogs.md": "# dogs\n\nDogs bark at the moon.\n"})
    run_ingest(base, "more", collection="other", embedder=HashEmbedder("hash/2"))
    embedders = {"kb": HashEmbedder(), "other": Failing("hash/2")}
    with pytest.raises(ModelError, match="boom") as caught:
        KnowledgeBase(base / ".aivax", embedders.__getitem__).search(["kb", "other"], ["dogs bark"], ANY)
    assert caught.value.spent == (EmbeddingUse("hashing", 2, FREE),)


def test_collections_are_searched_together(base, knowledge):
    write_files(base, {"more/dogs.md": "# dogs\n\nDogs bark at cats and at the moon.\n"})
    run_ingest(base, "more", collection="other")
    passages = knowledge.search(["kb", "other"], ["dogs bark", "cats sleep"], ANY).passages
    assert {(p.source.collection, Path(p.source.document).stem) for p in passages[:2]} == {
        ("other", "dogs"), ("kb", "cats"),
    }  # fmt: skip


def test_the_same_collection_twice_is_once(knowledge):
    passages = knowledge.search(["kb", "kb"], ["cats"], ANY).passages
    assert len(names(passages)) == len(set(names(passages)))


def test_an_open_reader_sees_what_another_process_writes(base):
    readers = [open_knowledge(base, vector_index=index) for index in ("exact", "chroma")]
    limits = RetrievalLimits(min_score=0.0, reranker="none")
    for knowledge in readers:
        assert names(knowledge.search(["kb"], ["zebras graze"], limits).passages)[0] != "zebra"
    for round_ in range(3):
        write_files(base, {f"docs/zebra{round_}.md": f"# zebra{round_}\n\nZebras graze in round{round_}.\n"})
        if round_ == 2:
            (base / "docs/zebra0.md").unlink()
        subprocess.run([sys.executable, "-c", INGEST, str(base)], cwd=Path(__file__).parents[1], check=True)
        for knowledge in readers:
            found = knowledge.search(["kb"], [f"zebras graze in round{round_}"], limits).passages
            assert names(found)[0] == f"zebra{round_}"
    for knowledge in readers:
        assert "zebra0" not in names(knowledge.search(["kb"], ["zebras graze in round0"], limits).passages)
        knowledge.close()


def test_threads_share_a_knowledge_base_while_it_is_written(base, knowledge):
    failures: list[BaseException] = []
    stop = threading.Event()

    def ask() -> None:
        try:
            while not stop.is_set():
                assert names(knowledge.search(["kb"], ["cats sleep"], ANY).passages)[0] == "cats"
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(5):
        write_files(base, {f"docs/new{number}.md": f"# new\n\nSomething new{number}.\n"})
        run_ingest(base)
    stop.set()
    for thread in threads:
        thread.join(PATIENT_S)
    assert failures == []


def test_a_cancelled_retrieval_leaves_the_next_one_whole(knowledge):
    async def scenario() -> list[str]:
        retriever = CollectionSearch(knowledge, ["kb"])
        task = asyncio.create_task(retriever.retrieve(["cats"], ANY))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        results = await asyncio.gather(*(retriever.retrieve(["cats sleep"], ANY) for _ in range(8)))
        return [names(result.passages)[0] for result in results]

    assert asyncio.run(scenario()) == ["cats"] * 8
