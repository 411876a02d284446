"""JSONL into collections and out of them, by the hosted service's rules of updating."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from support.in_process import aivax_here
from support.knowledge import HashEmbedder, open_knowledge, run_ingest, server_address, write_files

from aivax_cli.core.errors import NotFoundError
from aivax_cli.core.types import RetrievalLimits
from aivax_cli.ingest.progress import IngestSummary
from aivax_cli.retrieval.exporting import export_collection
from aivax_cli.retrieval.management import remove_collection, show_collection

pytestmark = pytest.mark.usefixtures("vector_store")

CATS = {"docid": "cats", "text": "Cats sleep most of the day and hunt small animals at night."}
BREAD = {"docid": "bread", "text": "Bread rises because yeast turns sugar into gas while the dough rests."}
ICE = {"docid": "ice", "text": "Glaciers carve wide valleys over thousands of long and very cold winters."}


def write_lines(base: Path, *records: dict | str, name: str = "data.jsonl") -> Path:
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    (base / name).write_text("\n".join(lines) + "\n")
    return base


def load(base: Path, embedder: HashEmbedder | None = None, name: str = "data.jsonl", **more) -> IngestSummary:
    return run_ingest(base, name, embedder=embedder, **more)


def counts(summary: IngestSummary) -> tuple[int, int, int, int]:
    return summary.added, summary.changed, summary.unchanged, summary.removed


def stored(base: Path) -> dict[str, tuple[str, str, str]]:
    with sqlite3.connect(base / ".aivax/catalogue.db") as db:
        return {
            row[0]: row[1:]
            for row in db.execute(
                "SELECT d.name, c.text, d.tags, d.meta FROM documents d JOIN chunks c ON c.document_id = d.id"
            )
        }


def hits(
    base: Path, question: str, collection: str = "kb", index: str | None = None, **limits
) -> list[tuple]:
    """All that users see of hits."""
    knowledge = open_knowledge(base, vector_index=index)
    wanted = RetrievalLimits(**{"min_score": 0.0, "top": 50, **limits})
    passages = knowledge.search([collection], [question], wanted).passages
    knowledge.close()
    return [
        (
            p.rank,
            p.text,
            p.score,
            p.source.place,
            p.source.heading,
            p.source.page,
            p.id.partition("/")[2],
        )
        for p in passages
    ]


def exported(base: Path, collection: str = "kb") -> list[str]:
    return list(export_collection(base / ".aivax", collection))


def test_every_line_becomes_a_document(tmp_path):
    summary = load(write_lines(tmp_path, CATS, BREAD, ICE))
    assert (counts(summary), summary.documents, summary.chunks) == ((3, 0, 0, 0), 3, 3)
    assert hits(tmp_path, "why does bread rise?")[0][3] == "bread"


def test_an_unchanged_file_embeds_and_changes_nothing(tmp_path):
    load(write_lines(tmp_path, CATS, BREAD))
    embedder = HashEmbedder()
    assert counts(load(tmp_path, embedder)) == (0, 0, 2, 0)
    (tmp_path / "data.jsonl").touch()
    assert counts(load(tmp_path, embedder)) == (0, 0, 2, 0)
    assert embedder.passages == []


def test_changed_text_is_indexed_anew_and_nothing_else(tmp_path):
    load(write_lines(tmp_path, CATS, BREAD))
    embedder = HashEmbedder()
    dogs = {**CATS, "text": "Dogs bark at the moon and sleep in the sun whenever anybody lets them."}
    assert counts(load(write_lines(tmp_path, dogs, BREAD), embedder)) == (0, 1, 1, 0)
    assert embedder.passages == [dogs["text"]]
    assert stored(tmp_path)["cats"][0] == dogs["text"]


def test_changed_labels_are_changed_alone(tmp_path):
    load(write_lines(tmp_path, CATS, BREAD))
    with sqlite3.connect(tmp_path / ".aivax/catalogue.db") as db:
        before = db.execute("SELECT id, vector_id FROM chunks").fetchall()
    embedder = HashEmbedder()
    labelled = {**CATS, "__tags": ["pets"], "__meta": {"url": "x"}}
    assert counts(load(write_lines(tmp_path, labelled, BREAD), embedder)) == (0, 1, 1, 0)
    assert stored(tmp_path)["cats"][1:] == ('["pets"]', '{"url":"x"}')
    with sqlite3.connect(tmp_path / ".aivax/catalogue.db") as db:
        assert db.execute("SELECT id, vector_id FROM chunks").fetchall() == before
    assert embedder.passages == []


def test_docids_that_are_gone_are_removed_and_keep_missing_keeps_them(tmp_path):
    load(write_lines(tmp_path, CATS, BREAD, ICE))
    assert counts(load(write_lines(tmp_path, CATS, BREAD), keep_missing=True)) == (0, 0, 2, 0)
    assert set(stored(tmp_path)) == {"cats", "bread", "ice"}
    assert counts(load(write_lines(tmp_path, CATS, "", BREAD))) == (0, 0, 2, 1)
    assert set(stored(tmp_path)) == {"cats", "bread"}


def test_bad_lines_are_reported_and_nothing_is_lost_by_them(tmp_path):
    load(write_lines(tmp_path, CATS, BREAD))
    write_lines(tmp_path, '{"docid": "cats", "text": ""}', "{broken", BREAD, ICE)
    summary = load(tmp_path)
    assert counts(summary) == (1, 0, 1, 0)
    assert [notice.name for notice in summary.failed] == ["data.jsonl:1", "data.jsonl:2"]
    assert set(stored(tmp_path)) == {"cats", "bread", "ice"}
    assert len(load(tmp_path).failed) == 2  # told again until it is mended


def test_many_bad_lines_are_counted(tmp_path):
    summary = load(write_lines(tmp_path, CATS, *["{"] * 500))
    assert len(summary.failed) == 21
    assert summary.failed[-1].reason == "480 more lines are wrong"


def test_the_last_line_of_a_docid_wins_with_a_warning(tmp_path):
    summary = load(write_lines(tmp_path, CATS, BREAD, {**CATS, "text": ICE["text"]}))
    assert counts(summary) == (2, 0, 0, 0)
    assert stored(tmp_path)["cats"][0] == ICE["text"]
    (warning,) = summary.warnings
    assert "cats in data.jsonl:1 and 3" in warning.reason
    (tmp_path / "data.jsonl").touch()
    assert counts(load(tmp_path)) == (0, 0, 2, 0)


def test_files_own_their_docids(tmp_path):
    write_lines(tmp_path, CATS, BREAD)
    write_lines(tmp_path, ICE, name="more.jsonl")
    load(tmp_path)
    load(tmp_path, name="more.jsonl")
    assert set(stored(tmp_path)) == {"cats", "bread", "ice"}
    (tmp_path / "more.jsonl").unlink()
    summary = run_ingest(tmp_path, ".")
    assert counts(summary) == (0, 0, 2, 1)
    assert set(stored(tmp_path)) == {"cats", "bread"}


def test_a_docid_of_two_files_goes_to_the_later_with_a_warning(tmp_path):
    load(write_lines(tmp_path, CATS, BREAD))
    write_lines(tmp_path, {**CATS, "text": ICE["text"]}, name="more.jsonl")
    summary = load(tmp_path, name="more.jsonl")
    assert any("cats, now of more.jsonl, before of data.jsonl" in w.reason for w in summary.warnings)
    assert stored(tmp_path)["cats"][0] == ICE["text"]


def test_docids_are_no_file_names(tmp_path):
    write_files(tmp_path, {"docs/a.md": "# A\n\nSome words about apples and pears in the garden today.\n"})
    load(write_lines(tmp_path, {**CATS, "docid": "docs/b.md"}))
    assert counts(run_ingest(tmp_path, "docs")) == (1, 0, 0, 0)
    assert set(stored(tmp_path)) == {"docs/a.md", "docs/b.md"}


def test_a_first_line_that_broke_does_not_remove_the_documents(tmp_path):
    load(write_lines(tmp_path, CATS, BREAD))
    summary = load(write_lines(tmp_path, "{broken", BREAD))
    assert [notice.name for notice in summary.failed] == ["data.jsonl:1"]
    assert set(stored(tmp_path)) == {"cats", "bread"}


def test_an_import_stopped_halfway_goes_on_where_it_was(tmp_path):
    records = [
        {"docid": f"d{n}", "text": f"Document number{n} says something about word{n}."} for n in range(200)
    ]

    class Stopped(HashEmbedder):
        def embed_passages(self, texts, on_batch=None):
            if any("number150" in text for text in texts):
                raise KeyboardInterrupt
            return super().embed_passages(texts, on_batch)

    with pytest.raises(KeyboardInterrupt):
        load(write_lines(tmp_path, *records), Stopped())
    summary = load(tmp_path)
    assert (summary.unchanged, summary.chunks_embedded) == (200, 72)


def test_a_long_document_is_cut_and_given_back_whole(tmp_path):
    text = "\n\n".join(f"  Paragraph {n} has these eight words in it." for n in range(300)) + "\n"
    summary = load(write_lines(tmp_path, {"docid": "long", "text": text}))
    assert summary.chunks > 5
    assert [notice.reason for notice in summary.warnings] == [
        "1 document over 1,500 tokens: long, 2,400 tokens"
    ]
    assert [json.loads(line) for line in exported(tmp_path)] == [{"docid": "long", "text": text}]


def test_imported_lines_come_out_as_they_were(tmp_path):
    records = [
        {**CATS, "__ref": "pets", "__tags": ["a", "b"], "__meta": {"url": "https://x", "n": [1, None]}},
        {"docid": "ç", "text": "  Espaço e\r\nlinhas com muitas palavras diferentes e acentuação.  "},
        BREAD,
    ]
    load(write_lines(tmp_path, *records))
    assert [json.loads(line) for line in exported(tmp_path)] == records


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    """A workspace whose collection has grown by and by, of files and of lines."""
    sections = "\n\n".join(
        f"## Part {n}\n\n" + f"Part {n} tells of subject{n} and of things near it. " * 6 for n in range(8)
    )
    write_files(tmp_path, {f"docs/{n}.md": f"# Book {n}\n\n{sections}" for n in range(3)})
    write_files(tmp_path, {"docs/plain.txt": "One plain line about cats and nothing else at all here.\n"})
    run_ingest(tmp_path)
    load(write_lines(tmp_path, {**CATS, "__ref": "pets"}, BREAD, {**ICE, "__tags": ["cold"]}))
    write_files(
        tmp_path, {"docs/0.md": "# Book 0\n\nSubject5 and subject6 are told of in another way now.\n"}
    )
    write_files(
        tmp_path, {f"docs/late{n}.md": f"# Late {n}\n\nLate subject{n} came after it.\n" for n in range(4)}
    )
    run_ingest(tmp_path)
    return tmp_path


@pytest.mark.parametrize("reranker", ["fused", "rrf", "none"])
def test_export_and_import_give_the_same_searches(grown, reranker, vector_store):
    # Chroma in a folder puts passages of the same cosine into any order.
    index = "exact" if vector_store == "embedded" else None
    write_lines(grown, *exported(grown), name="out.jsonl")
    load(grown, name="out.jsonl", collection="copy")
    for question in ("subject5", "cats sleep at night", "what is told of Book 1 part 3?", "yeast", "Late"):
        ours = hits(grown, question, index=index, reranker=reranker)
        assert len(ours) > 5
        assert hits(grown, question, "copy", index=index, reranker=reranker) == ours


def test_the_export_of_an_import_is_the_same_file(grown):
    lines = exported(grown)
    write_lines(grown, *lines, name="out.jsonl")
    load(grown, name="out.jsonl", collection="copy")
    assert exported(grown, "copy") == lines


def test_an_exported_chunk_can_be_edited(grown):
    records = [json.loads(line) for line in exported(grown)]
    write_lines(grown, *records, name="out.jsonl")
    load(grown, name="out.jsonl", collection="copy")
    records[0]["text"] = "Zebras graze in the savannah as long as there is any grass to be found."
    summary = load(write_lines(grown, *records, name="out.jsonl"), name="out.jsonl", collection="copy")
    assert (summary.changed, summary.chunks_embedded) == (1, 1)
    assert hits(grown, "zebras graze", "copy")[0][1] == records[0]["text"]


def test_names_longer_than_the_formats_limits_survive(tmp_path):
    name = "docs/" + "n" * 120 + "/" + "m" * 150 + ".md"
    write_files(tmp_path, {name: "# Deep\n\nA file that lies deep below many other folders of documents.\n"})
    run_ingest(tmp_path)
    (line,) = map(json.loads, exported(tmp_path))
    assert (len(line["docid"]) <= 256, len(line["__ref"]) <= 64) == (True, True)
    write_lines(tmp_path, line, name="out.jsonl")
    load(tmp_path, name="out.jsonl", collection="copy")
    assert hits(tmp_path, "deep file", "copy")[0][3] == f"{name}:1-3"


def test_a_collection_that_is_not_there_cannot_be_exported(tmp_path):
    load(write_lines(tmp_path, CATS))
    with pytest.raises(NotFoundError, match="did you mean 'kb'"):
        exported(tmp_path, "kc")


def test_removing_a_collection_removes_what_came_from_files_of_lines(tmp_path):
    load(write_lines(tmp_path, {**CATS, "__tags": ["a"]}))
    remove_collection(tmp_path / ".aivax", "kb", server=server_address())
    assert counts(load(tmp_path)) == (1, 0, 0, 0)
    assert show_collection(tmp_path / ".aivax", "kb")[0].documents == 1


def test_the_command_writes_stdout_or_a_file(tmp_path):
    (tmp_path / "aivax.yaml").touch()
    load(write_lines(tmp_path, CATS, BREAD))
    out = aivax_here("collections", "export", "kb", cwd=tmp_path)
    assert [json.loads(line) for line in out.out.splitlines()] == [CATS, BREAD]
    done = aivax_here("collections", "export", "kb", "-o", "out.jsonl", cwd=tmp_path)
    assert ((tmp_path / "out.jsonl").read_text(), done.out) == (out.out, "")
    failed = aivax_here("collections", "export", "kb", "-o", "no/such/folder.jsonl", cwd=tmp_path)
    assert (failed.code, len(failed.err.splitlines())) == (2, 1)
