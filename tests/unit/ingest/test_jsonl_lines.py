"""Lines of JSONL as documents, and lines that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aivax_cli.ingest.jsonl import BadLine, Line, is_import, read_lines
from aivax_cli.retrieval.exporting import Place


def read(tmp_path: Path, *lines: str | bytes) -> list[Line | BadLine]:
    file = tmp_path / "data.jsonl"
    file.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
    return list(read_lines(file))


def test_a_line_holds_a_document_with_its_labels(tmp_path):
    record = {"docid": "a", "text": "Olá", "__ref": "r", "__tags": ["x", "y", "x"], "__meta": {"n": 1}}
    (line,) = read(tmp_path, json.dumps(record))
    assert (line.docid, line.text) == ("a", "Olá")
    assert (line.labels.ref, line.labels.tags, line.labels.meta) == ("r", ("x", "y"), '{"n":1}')


def test_optional_fields_may_be_null_or_absent(tmp_path):
    bare, empty = read(
        tmp_path, '{"docid":"a","text":"t"}', '{"docid":"b","text":"t","__ref":null,"__tags":null}'
    )
    assert bare.labels == empty.labels


def test_blank_lines_and_a_byte_order_mark_are_no_matter(tmp_path):
    lines = read(tmp_path, b'\xef\xbb\xbf{"docid":"a","text":"t"}\r', "", "  ", '{"docid":"b","text":"t"}')
    assert [(line.number, line.docid) for line in lines] == [(1, "a"), (4, "b")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"text":"t"}', "docid is missing"),
        ('{"docid":" ","text":"t"}', "docid is blank"),
        ('{"docid":7,"text":"t"}', "docid must be a text"),
        (json.dumps({"docid": "d" * 257, "text": "t"}), "docid is longer than 256"),
        ('{"docid":"a"}', "a: text is missing"),
        ('{"docid":"a","text":" \\n"}', "a: text is missing or empty"),
        ('{"docid":"a","text":["t"]}', "text must be a text"),
        (json.dumps({"docid": "a", "text": "t", "__ref": "r" * 65}), "__ref is longer than 64"),
        ('{"docid":"a","text":"t","__tags":"x"}', "__tags must be a list"),
        ('{"docid":"a","text":"t","__tags":[1]}', "__tags must be a list"),
        ('{"docid":"a","text":"t","__meta":[1]}', "__meta must be an object"),
        ('{"docid":"a","text":"t","__meta":{"n":NaN}}', "not JSON"),
        ('{"docid":"a","text":"\\ud800"}', "surrogate"),
        (b'{"docid":"a","text":"\xff"}', "not UTF-8"),
        ("[" * 100_000, "not JSON"),
        ('{"docid":"a","text":"' + "t" * 10_000_001 + '"}', "longer than 10 MB"),
    ],
)
def test_a_bad_line_says_what_is_wrong_and_the_next_is_read(tmp_path, line, reason):
    bad, good = read(tmp_path, line, '{"docid":"b","text":"t"}')
    assert isinstance(bad, BadLine)
    assert reason in bad.reason
    assert (good.number, good.docid) == (2, "b")


def test_limits_themselves_are_allowed(tmp_path):
    (line,) = read(tmp_path, json.dumps({"docid": "d" * 256, "text": "t", "__ref": "r" * 64}))
    assert isinstance(line, Line)


def test_unknown_fields_are_named(tmp_path):
    (line,) = read(tmp_path, '{"docid":"a","text":"t","title":"x"}')
    assert line.unknown == ("title",)


def test_labels_do_not_change_the_content_hash_and_a_place_does(tmp_path):
    own = {"aivax": Place("f.md", 0, "H").as_json()}
    plain, labelled, placed = read(
        tmp_path,
        '{"docid":"a","text":"t"}',
        '{"docid":"a","text":"t","__tags":["x"],"__meta":{"n":1}}',
        json.dumps({"docid": "a", "text": "t", "__meta": own}),
    )
    assert plain.content_hash == labelled.content_hash != placed.content_hash
    assert (placed.place, placed.labels.meta) == (Place("f.md", 0, "H"), "{}")


@pytest.mark.parametrize("own", [1, {}, {"document": ""}, {"document": "d", "chunk": -1}, {"chunk": 0}])
def test_meta_of_ours_that_is_none_stays_the_users(tmp_path, own):
    (line,) = read(tmp_path, json.dumps({"docid": "a", "text": "t", "__meta": {"aivax": own}}))
    assert line.place is None
    assert json.loads(line.labels.meta) == {"aivax": own}


@pytest.mark.parametrize(
    ("name", "first", "expected"),
    [
        ("a.jsonl", '{"docid":"a","text":"t"}', True),
        ("a.JSONL", '\n{"text":"t","docid":"a"}', True),
        ("a.jsonl", '{"messages":[]}', False),
        ("a.jsonl", "no JSON", False),
        ("a.json", '{"docid":"a","text":"t"}', False),
    ],
)
def test_the_extension_and_the_first_line_tell_the_format(tmp_path, name, first, expected):
    file = tmp_path / name
    file.write_text(first + "\n")
    assert is_import(file) is expected
