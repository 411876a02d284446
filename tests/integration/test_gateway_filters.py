"""A gateway's `knowledge.filter` and `knowledge.references`, from the YAML to the passages."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import pytest
from support.gateway_files import HEAD, faults
from support.knowledge import HashEmbedder, run_ingest, write_files

from aivax_cli.core.types import Passage
from aivax_cli.gateway.knowledge import Knowledge
from aivax_cli.retrieval.search import CollectionSearch, KnowledgeBase
from aivax_cli.steps.plan import Ports
from aivax_cli.steps.searching import retrieve

RULE = "must be siblings, neighbours, or a number of chunks from 0 to 8"


class NoMeter:
    """Takes what a search costs, and forgets it."""

    def reading(self, *use: object) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def embedding(self, *use: object) -> None:
        return None


def passages(base: Path, question: str, **knowledge: object) -> list[Passage]:
    library = KnowledgeBase(base / ".aivax", HashEmbedder())
    definition = Knowledge(collections=["kb"], min_score=0, **knowledge)
    ports = Ports(NoMeter(), NoCounter(), CollectionSearch(library, ["kb"]))
    found = asyncio.run(retrieve([question], definition, None, ports, []))
    library.close()
    return list(found)


class NoCounter:
    """Nothing is counted in a search."""

    def count_text(self, text: str, model: str) -> int:
        return 0

    def count_messages(self, messages: object, model: str) -> int:
        return 0


@pytest.fixture
def base(tmp_path: Path) -> Path:
    records = [
        {"docid": "a", "text": "Cats sleep all day.", "__tags": ["public"]},
        {"docid": "b", "text": "Cats sleep at night.", "__tags": ["secret"]},
    ]
    sections = "\n\n".join(f"## S{n}\n\n" + f"section{n} speaks of matter{n}. " * 5 for n in range(6))
    lines = "".join(json.dumps(record) + "\n" for record in records)
    write_files(tmp_path, {"data.jsonl": lines, "long.md": f"# Long\n\n{sections}\n"})
    run_ingest(tmp_path, "data.jsonl", "long.md")
    return tmp_path


def test_a_gateway_searches_among_its_tags_alone(base):
    found = passages(base, "cats sleep at night", filter={"tags": ["public"]})
    assert [passage.source.document for passage in found] == ["a"]


def test_a_gateways_hits_bring_their_neighbours_in_document_order(base):
    found = passages(base, "matter3", top=1, references="neighbours")
    assert [passage.source.heading for passage in found] == ["Long > S2", "Long > S3", "Long > S4"]
    assert [passage.rank for passage in found] == [1, 2, 3]


def test_adjacent_hits_are_read_in_document_order_without_any_references(base):
    best = passages(base, "matter3 matter3 matter2", top=1)
    both = passages(base, "matter3 matter3 matter2", top=2)
    assert best[0].source.heading == "Long > S3"
    assert [passage.source.heading for passage in both] == ["Long > S2", "Long > S3"]


@pytest.mark.parametrize(
    ("given", "expected"), [("Siblings", "siblings"), ("neighbours", 1), (3, 3), ("none", 0)]
)
def test_references_are_a_name_or_a_number(given, expected):
    assert Knowledge(collections=["kb"], references=given).references == expected


@pytest.mark.parametrize("given", ["9", "-1", "true", "cousins", "[1]", "1.5"])
def test_other_references_are_refused_in_one_line(tmp_path, given):
    text = HEAD + f"knowledge:\n  collections: [kb]\n  references: {given}\n"
    (fault,) = faults(tmp_path, text)
    assert fault.startswith(f"6: knowledge.references: {RULE}")


def test_a_filter_without_tags_is_refused(tmp_path):
    text = HEAD + "knowledge:\n  collections: [kb]\n  filter: {match: all}\n"
    (fault,) = faults(tmp_path, text)
    assert "knowledge.filter.tags: required" in fault
