"""A workspace whose vectors are indexed on a server that is lost, changed, slow, wrong or not there."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.chroma_process import ChromaProcess
from support.in_process import aivax_here
from support.knowledge import (
    STORE_VARIABLE,
    HashEmbedder,
    open_knowledge,
    run_ingest,
    run_repair,
    server_address,
    write_files,
)

from aivax_cli.core.types import Passage, RetrievalLimits
from aivax_cli.ingest.progress import IngestSummary
from aivax_cli.retrieval import indexes, served_search
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.chroma_server import ServerAddress
from aivax_cli.retrieval.management import remove_collection
from aivax_cli.retrieval.search import KnowledgeBase
from aivax_cli.retrieval.served import Held
from aivax_cli.retrieval.verification import verify

COUNT = 40
LIMITS = RetrievalLimits(top=5, min_score=0.0, reranker="none")
QUESTION = "item7 of word0"


@pytest.fixture
def base(tmp_path: Path, chroma: ChromaProcess, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(STORE_VARIABLE, chroma.url)
    monkeypatch.setattr(indexes, "EXACT_LIMIT", -1)
    base = tmp_path / "base"
    write_files(base, {f"docs/{n:02}.md": f"# Number {n}\n\nitem{n} of word{n % 7}\n" for n in range(COUNT)})
    run_ingest(base)
    return base


def held(base: Path) -> Held:
    with sqlite3.connect(base / ".aivax" / "catalogue.db") as db:
        (text,) = db.execute("SELECT snapshot FROM collections").fetchone()
    db.close()
    name, _, revisions = text.partition("@")
    revision, _, coming = revisions.partition(">")
    return Held(name, revision, coming or None)


def catalogue_ids(base: Path) -> set[int]:
    with sqlite3.connect(base / ".aivax" / "catalogue.db") as db:
        numbers = {row[0] for row in db.execute("SELECT id FROM vectors_1")}
    db.close()
    return numbers


def told(summary: IngestSummary) -> list[str]:
    """What an ingest has to say of the index."""
    return [notice.reason for notice in summary.warnings if "vector index" in notice.reason]


def ask(base: Path, question: str = QUESTION, index: str = "auto", server: ServerAddress | None = None):
    """The documents found, with their scores; and what a user is told."""
    address = server or server_address()
    knowledge = KnowledgeBase(base / ".aivax", HashEmbedder(), vector_index=index, server=address)
    found = knowledge.search(["kb"], [question], LIMITS)
    knowledge.close()
    return shown(found.passages), found.problems


def shown(passages: tuple[Passage, ...]) -> list[tuple[str, float]]:
    return [(passage.source.document, round(passage.score, 4)) for passage in passages]


def assert_warned(base: Path, told: str, server: ServerAddress | None = None) -> None:
    """A search finds what a scan finds, and says why it scanned, in a line."""
    found, problems = ask(base, server=server)
    assert found == ask(base, index="exact")[0]
    (problem,) = problems
    assert told in problem
    assert problem.endswith("the catalogue was searched instead")
    assert "\n" not in problem


def assert_sound(base: Path, chroma: ChromaProcess) -> None:
    """The server answers, without a warning, and holds what the catalogue does."""
    assert ask(base) == (ask(base, index="exact")[0], ())
    assert chroma.ids(held(base).name) == catalogue_ids(base)


# What the server holds is wrong


def test_the_server_answers_and_holds_what_the_catalogue_does(base, chroma):
    assert_sound(base, chroma)
    write_files(base, {"docs/03.md": "# Other\n\nanother text\n"})
    (base / "docs/04.md").unlink()
    run_ingest(base)
    assert_sound(base, chroma)


def test_a_lost_collection_is_told_and_made_again(base, chroma):
    chroma.remove(held(base).name)
    assert_warned(base, "the collection is gone from it")
    assert told(run_ingest(base)) == []
    assert_sound(base, chroma)


@pytest.mark.parametrize("gone", [range(1, COUNT + 1), range(1, 12)], ids=["all", "some"])
def test_vectors_that_are_gone_from_the_server_are_noticed_and_sent_again(base, chroma, gone):
    chroma.post(held(base).name, "delete", {"ids": [str(number) for number in gone]})
    assert_warned(base, f"holds {COUNT - len(gone)} vectors, not {COUNT}")
    run_ingest(base)
    assert_sound(base, chroma)


def test_vectors_that_go_while_a_process_has_it_open_are_noticed(base, chroma):
    knowledge = open_knowledge(base, vector_index="auto", strict=False)
    knowledge.search(["kb"], [QUESTION], LIMITS)
    chroma.post(held(base).name, "delete", {"ids": [str(number) for number in range(1, COUNT + 1)]})
    found = knowledge.search(["kb"], [QUESTION], LIMITS)
    assert "finds only 0 of 40 vectors" in found.problems[0]
    assert shown(found.passages) == ask(base, index="exact")[0]
    knowledge.close()


def test_vectors_that_somebody_else_overwrote_are_noticed_and_sent_again(base, chroma):
    other = HashEmbedder().embed_passages([f"unrelated {n}" for n in range(COUNT)]).vectors.tolist()
    ids = [str(number) for number in range(1, COUNT + 1)]
    chroma.post(held(base).name, "upsert", {"ids": ids, "embeddings": other})
    assert_warned(base, "finds only")
    run_ingest(base)
    assert_sound(base, chroma)


def test_a_vector_overwritten_while_a_process_has_it_open_is_noticed(base, chroma):
    knowledge = open_knowledge(base, vector_index="auto", strict=False)
    knowledge.search(["kb"], [QUESTION], LIMITS)
    wrong = HashEmbedder().embed_passages([QUESTION]).vectors.tolist()
    chroma.post(held(base).name, "upsert", {"ids": ["3"], "embeddings": wrong})
    found = knowledge.search(["kb"], [QUESTION], LIMITS)
    assert "it holds other vectors than the catalogue" in found.problems[0]
    assert shown(found.passages) == ask(base, index="exact")[0]
    knowledge.close()


def test_vectors_that_somebody_else_added_are_noticed_and_left_behind(base, chroma):
    more = HashEmbedder().embed_passages(["intruder"]).vectors.tolist()
    chroma.post(held(base).name, "add", {"ids": ["intruder"], "embeddings": more})
    assert_warned(base, "holds 41 vectors, not 40")
    run_ingest(base)
    assert_sound(base, chroma)


def test_another_embedder_of_another_dimension_gets_a_collection_of_its_own(base, chroma):
    before = held(base).name
    other = HashEmbedder("hash/2", dimension=32)
    assert told(run_ingest(base, embedder=other, reindex=True)) == []
    knowledge = open_knowledge(base, other)
    scan = open_knowledge(base, other, vector_index="exact")
    found = [shown(each.search(["kb"], [QUESTION], LIMITS).passages) for each in (knowledge, scan)]
    assert found[0] == found[1]
    assert before not in chroma.collections()
    assert held(base).name in chroma.collections()


# Several catalogues, and catalogues of several ages


def test_an_older_copy_of_the_catalogue_scans_and_says_so(base, chroma):
    copy = Path(shutil.copytree(base, base.parent / "copy"))
    (base / "docs/07.md").unlink()
    run_ingest(base)
    assert_warned(copy, "it belongs to a newer catalogue than this one")
    assert ask(copy)[0][0][0] == "docs/07.md"
    shutil.copytree(base / ".aivax", copy / ".aivax", dirs_exist_ok=True)
    assert ask(copy) == (ask(base)[0], ())


def test_two_copies_that_both_ingest_take_nothing_from_one_another(base, chroma):
    copy = Path(shutil.copytree(base, base.parent / "copy"))
    write_files(base, {"docs/new.md": "# New\n\nours alone\n"})
    write_files(copy, {"docs/new.md": "# New\n\ntheirs alone\n"})
    for one in (base, copy, base, copy):
        assert run_ingest(one).failed == ()
    assert held(base).name != held(copy).name
    for one, question in ((base, "ours"), (copy, "theirs")):
        assert_sound(one, chroma)
        assert ask(one, question)[0][0][0] == "docs/new.md"


def test_a_reader_that_began_before_an_ingest_finds_what_was_there(base, chroma):
    catalogue = Catalogue.open(base / ".aivax")
    served_indexes = served_search.ServedIndexes(server_address(), lambda _: None)
    question = HashEmbedder().embed_queries(["item7 of word0"]).vectors
    with catalogue.reading() as reader:
        collection = reader.collection("kb")
        before = indexes.VectorIndexes(base / ".aivax", "exact").get(reader, collection).nearest(question, 3)
        vectors = indexes.VectorIndexes(base / ".aivax", "auto", served_indexes).get(reader, collection)
        assert [*vectors.nearest(question, 3)[0]] == [*before[0]]
        (base / "docs/07.md").unlink()
        run_ingest(base)
        assert [*vectors.nearest(question, 3)[0]] == [*before[0]]
    served_indexes.close()
    catalogue.close()


def test_workspaces_and_collections_of_one_name_share_a_server(base, chroma, tmp_path):
    other = write_files(tmp_path / "other", {"docs/a.md": "# A\n\nsomething else\n"})
    run_ingest(other)
    run_ingest(base, collection="second")
    assert ask(other)[0] == [("docs/a.md", ask(other, index="exact")[0][0][1])]
    assert_sound(base, chroma)


# Going from and to folders


def test_a_store_that_is_added_and_taken_away_again_is_filled_each_time(base, monkeypatch):
    monkeypatch.delenv(STORE_VARIABLE)
    assert told(run_ingest(base)) == []
    assert len(list((base / ".aivax/chroma").iterdir())) == 1
    assert ask(base, index="chroma")[0] == ask(base, index="exact")[0]


def test_a_folder_goes_when_the_server_has_taken_its_place(tmp_path, chroma, monkeypatch):
    write_files(tmp_path, {"docs/a.md": "# A\n\nsomething else\n"})
    run_ingest(tmp_path)
    assert ask(tmp_path, "else", "chroma")[0]
    monkeypatch.setenv(STORE_VARIABLE, chroma.url)
    run_ingest(tmp_path)
    assert list((tmp_path / ".aivax/chroma").iterdir()) == []
    assert ask(tmp_path, "else", "chroma")[0]


# Taking care of it


def problems(base: Path, server: ServerAddress | None = None) -> list[tuple[str, str, str, bool]]:
    catalogue = Catalogue.open(base / ".aivax")
    with catalogue.reading() as reader:
        collection = reader.collection("kb")
    found = verify(catalogue, collection, base / ".aivax", server or server_address()).problems
    catalogue.close()
    return [(problem.part, problem.detail, problem.remedy, problem.waiting) for problem in found]


DAMAGE = {
    "vectors that are gone": ("delete", {"ids": ["3", "4"]}, "2 of 40 vectors are missing"),
    "vectors of nobody": ("add", {"ids": ["900"], "embeddings": [[1.0] * 64]}, "holds 41 vectors, not 40"),
    "words for ids": ("add", {"ids": ["word"], "embeddings": [[1.0] * 64]}, "somebody else has put there"),
    "other vectors": (
        "upsert",
        {"ids": [str(n) for n in range(1, 30)], "embeddings": [[1.0] * 64] * 29},
        "finds only 11 of 40 vectors when asked for them",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_on_the_server_is_found_and_mended(base, chroma, damage):
    what, body, detail = damage
    chroma.post(held(base).name, what, body)
    ((part, found, remedy, waiting),) = problems(base)
    assert (part, remedy, waiting) == ("Chroma", "repair", False)
    assert found.startswith(f"the index on {chroma.url}: ")
    assert detail in found
    done = run_repair(base)
    assert (done.after.problems, done.chunks_embedded) == ((), 0)
    assert_sound(base, chroma)


def test_doctor_tells_and_mends_what_was_never_sent(base, chroma, monkeypatch):
    with sqlite3.connect(base / ".aivax" / "catalogue.db") as db:
        db.execute("UPDATE collections SET snapshot = NULL, snapshot_last = 0, snapshot_vectors = 0")
    db.close()
    ((_, found, remedy, waiting),) = problems(base)
    assert "not built there; searches scan instead" in found
    assert (remedy, waiting) == ("repair", True)
    assert run_repair(base).after.problems == ()
    assert_sound(base, chroma)


def test_doctor_names_the_setting_when_the_server_cannot_be_asked(base, tmp_path):
    write_files(base, {"aivax.yaml": "store: {url: 'http://127.0.0.1:9', api_key_env: NO_SUCH_KEY}\n"})
    done = aivax_here("doctor", "--collection", "kb", cwd=base)
    assert done.code == 0
    assert "the environment variable NO_SUCH_KEY is not set" in done.out
    assert "start it, or correct store: in aivax.yaml" in done.out
    write_files(base, {"aivax.yaml": "store: {url: 'http://127.0.0.1:9'}\n"})
    done = aivax_here("doctor", "--collection", "kb", "--json", cwd=base)
    (finding,) = [each for each in done.json["findings"] if each["check"] == "Chroma"]
    assert finding["status"] == "warning"
    assert "cannot be reached" in finding["detail"]


def test_a_removed_collection_goes_from_the_server_too(base, chroma):
    name = held(base).name
    write_files(base, {"aivax.yaml": f"store: {{url: '{chroma.url}'}}\n"})
    done = aivax_here("collections", "remove", "kb", "--yes", cwd=base)
    assert (done.code, "still on" in done.err) == (0, False)
    assert name not in chroma.collections()


def test_what_could_not_be_removed_is_removed_by_the_next_ingest(base, chroma):
    name, address = held(base).name, server_address()
    told = []
    lost = replace(address, problem="the key is gone")
    remove_collection(base / ".aivax", "kb", server=lost, on_problem=told.append)
    assert told == [f"its vectors are still on {chroma.url}: the key is gone; the next ingest removes them"]
    assert name in chroma.collections()
    run_ingest(base, collection="second")
    assert name not in chroma.collections()


def test_a_collection_that_a_copy_has_taken_over_is_not_removed(base, chroma):
    copy = Path(shutil.copytree(base, base.parent / "copy"))
    write_files(base, {"docs/new.md": "# New\n\nours alone\n"})
    run_ingest(base)
    remove_collection(copy / ".aivax", "kb", server=server_address())
    assert_sound(base, chroma)
