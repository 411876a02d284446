"""`--dry-run`: what it says is what the ingest then does, and it leaves no trace."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from support.in_process import aivax_here
from support.knowledge import HashEmbedder, run_ingest, write_files

from aivax_cli.core.errors import IngestError, KnowledgeError
from aivax_cli.core.types import Prices
from aivax_cli.ingest.plan import Estimator, measured_speed, plan
from aivax_cli.ingest.progress import IngestPlan, IngestSummary
from aivax_cli.ingest.run import IngestRequest

WORDS = "words that fill a paragraph with something to be found by "


def planned(base: Path, *paths: str, fingerprint: str = "hash/1", **more) -> IngestPlan:
    embedder = HashEmbedder()
    prices = Prices(Decimal("0.00001"), Decimal(0))
    estimator = Estimator("hashing", fingerprint, embedder.count_tokens, 0, prices, 100.0, exact=True)
    request = IngestRequest(tuple(base / path for path in paths or ("docs",)), "kb", base, **more)
    return plan(request, base / ".aivax", estimator)


def counts(found: IngestPlan | IngestSummary) -> tuple[int, ...]:
    embedded = found.chunks_to_embed if isinstance(found, IngestPlan) else found.chunks_embedded
    return (found.added, found.changed, found.unchanged, found.removed, len(found.failed), embedded)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    files = {f"docs/{n}.md": f"# Part {n}\n\n" + f"{WORDS}number{n}. " * 40 for n in range(5)}
    records = [{"docid": f"d{n}", "text": f"{WORDS} line{n}"} for n in range(5)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    return write_files(tmp_path, {**files, "docs/same.md": files["docs/0.md"], "docs/data.jsonl": lines})


def test_a_first_ingest_is_foreseen(base):
    before = planned(base)
    assert not (base / ".aivax").exists()
    after = run_ingest(base)
    assert counts(before) == counts(after)
    assert before.chunks == after.chunks
    assert abs(before.embedding_tokens - after.embedding_tokens) < 0.35 * after.embedding_tokens
    assert before.usd == Decimal("0.00001") * before.embedding_tokens
    assert before.seconds == before.embedding_tokens / 100


def test_a_later_ingest_is_foreseen_to_the_token(base):
    run_ingest(base)
    write_files(base, {"docs/1.md": f"# Part 1\n\n{WORDS} another text"})
    (base / "docs/2.md").unlink()
    lines = (base / "docs/data.jsonl").read_text().splitlines()
    lines[0] = lines[0].replace("line0", "line zero")
    (base / "docs/data.jsonl").write_text("\n".join(lines[:4]) + "\n")
    before = planned(base)
    assert counts(before) == (0, 2, 7, 2, 0, 2)
    after = run_ingest(base)
    assert counts(before) == counts(after)
    assert before.embedding_tokens == after.embedding_tokens


def test_other_chunk_sizes_and_reindexing_are_foreseen(base):
    run_ingest(base)
    assert counts(planned(base, chunk_tokens=40)) == counts(run_ingest(base, chunk_tokens=40))
    assert counts(planned(base, chunk_tokens=40, reindex=True)) == counts(
        run_ingest(base, chunk_tokens=40, reindex=True)
    )


def test_what_a_stopped_ingest_left_is_foreseen(base):
    class Stopped(HashEmbedder):
        def embed_passages(self, texts, on_batch=None):
            if any("number" in text for text in texts):
                raise KeyboardInterrupt
            return super().embed_passages(texts, on_batch)

    with pytest.raises(KeyboardInterrupt):
        run_ingest(base, embedder=Stopped())
    before = planned(base)
    assert counts(before)[:3] == (0, 0, 11)
    assert counts(before) == counts(run_ingest(base))


def test_bad_files_and_lines_are_foreseen(base):
    (base / "docs/bad.pdf").write_bytes(b"no pdf")
    with (base / "docs/data.jsonl").open("a") as file:
        file.write("{\n")
    before = planned(base)
    assert [notice.name for notice in before.failed] == ["docs/bad.pdf", "docs/data.jsonl:6"]
    assert counts(before) == counts(run_ingest(base))


def test_a_plan_changes_nothing(base):
    run_ingest(base)
    write_files(base, {"docs/1.md": "# New\n\nnew"})
    catalogue = base / ".aivax/catalogue.db"
    before = (catalogue.read_bytes(), sorted(base.rglob("*.md")))
    planned(base)
    assert (catalogue.read_bytes(), sorted(base.rglob("*.md"))) == before


def test_another_embedder_or_nothing_to_read_is_the_same_error(base):
    run_ingest(base)
    with pytest.raises(KnowledgeError, match="--reindex"):
        planned(base, fingerprint="hash/2")
    with pytest.raises(IngestError, match="no documents to read"):
        planned(base, include=("*.none",))


def test_the_speed_of_the_last_ingest_is_remembered(base):
    assert measured_speed(base / ".aivax", "hash/1") is None
    run_ingest(base)
    assert measured_speed(base / ".aivax", "hash/1") > 0


def test_the_command_says_it_and_writes_nothing(base):
    (base / "aivax.yaml").touch()
    done = aivax_here("ingest", "docs", "-c", "kb", "--dry-run", "--json", cwd=base)
    assert (done.code, done.json["dry_run"], done.json["added"], done.json["usd"]) == (0, True, 11, 0)
    told = aivax_here("ingest", "docs", "-c", "kb", "--dry-run", cwd=base)
    assert all(word in told.out for word in ("11 added", "to embed", "$0.00", "about", "Nothing was written"))
    assert not (base / ".aivax").exists()
