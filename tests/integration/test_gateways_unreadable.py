"""Files that are no YAML, or none that can be read on: one fault each, in plain words."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.gateway_files import faults

UNREADABLE = {
    "empty": (b"", "1: is empty; `aivax gateways new NAME` writes one to start from"),
    "only comments": ("# nothing\n", "1: is empty; `aivax gateways new NAME` writes one to start from"),
    "a list": ("- id: x\n", "1: must be a mapping of fields, 'name: value', not a list"),
    "one word": ("# a\nhello\n", "2: must be a mapping of fields, 'name: value', not a single value"),
    "invalid UTF-8": (b"name: a\nmodel: \xff\n", "2: is not UTF-8 (byte 0xFF); save it as UTF-8"),
    "UTF-16": ("name: a".encode("utf-16"), "1: is UTF-16; save it as UTF-8"),
    "a control character": ("name: a\nmodel: b\x07\n", "2: holds the control character U+0007; remove it"),
    "too large": (b"#" * 1_000_001, "1: is 1,000,001 bytes long; at most 1,000,000 are read"),
    "a tab": ("name: a\nknowledge:\n\ttop: 3\n", "3: is indented with a tab; YAML takes spaces only"),
    "a tab before an item": ("stop:\n\t- a\n", "2: is indented with a tab; YAML takes spaces only"),
    "an unquoted model": (
        "model: @openai/gpt-5-mini\n",
        "1: a value cannot start with '@' unless it is in quotes: write \"@openai/gpt-5-mini\"",
    ),
    "an unquoted model in a list": (
        "rewrite:\n  models: [@openai/gpt-5-nano]\n",
        "2: a value cannot start with '@' unless it is in quotes: write \"@openai/gpt-5-nano\"",
    ),
    "a second colon": ("description: note: this\n", "1: a text that holds ': ' must be in quotes"),
    "deeper for no reason": (
        "name: a\n  model: b\n",
        "2: is indented deeper than the line above allows; fields of one mapping start in one column",
    ),
    "between two depths": (
        "knowledge:\n    top: 3\n  window: 2\n",
        "3: its indentation fits no line above",
    ),
    "an open double quote": (
        'name: a\ndescription: "x\nmodel: b\n',
        "2: a quote opens here and is never closed",
    ),
    "an open bracket": ("a: [1,\nb: 2\nc: 3\n", "1: a bracket opens here and ']' never closes it"),
    "an open brace": ("a: {x: 1\nb: 2\n", "1: a bracket opens here and '}' never closes it"),
    "no field": ("name: a\nhello\nmodel: b\n", "2: is no 'field: value' line"),
    "text after a quote": (
        "name: 'a'b\n",
        "1: text follows a value that had already ended; put the whole value in quotes",
    ),
    "braces, then text": (
        "prompt_template: {prompt} please\n",
        "1: text follows a value that had already ended; put the whole value in quotes",
    ),
    "an unknown escape": (
        'description: "\\d"\n',
        "1: a backslash in double quotes starts an escape; use single quotes",
    ),
    "a list on the field's line": ("stop: - a\n", "1: a list's '- ' items start on lines of their own"),
    "an unknown alias": ("a: *base\n", "1: no anchor &base stands above *base; a text needs quotes"),
    "an alias of itself": ("a: &x [*x]\n", "1: *x refers to what it stands in; an alias cannot hold itself"),
    "emphasis": ("a: *bold* text\n", "1: a value that starts with '*' or '&' must be in quotes"),
    "a missing value in a list": ("a: [b, , c]\n", "1: a value is missing before ','"),
    "text behind a block's sign": ("a: | b\n", "1: a text after | or > begins on the next line"),
    "text behind the end": (
        "a: b\n...\nc: d\n",
        "3: cannot stand here; a file is one mapping of 'field: value' lines",
    ),
    "two documents": (
        "name: a\n---\nname: b\n",
        "2: a second document begins here; keep one document in a file",
    ),
    "a pit of brackets": ("a: " + "[" * 100_000, "1: is nested deeper than 40 levels"),
    "a sea of brackets": (
        "a: [" + "[]," * 100_000 + "]",
        "1: expands to more than 20,000 values; no definition is that large",
    ),
    "a billion laughs": (
        "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "5: expands to more than 20,000 values; no definition is that large",
    ),
}


@pytest.mark.parametrize(("text", "fault"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_file_that_cannot_be_read_has_one_fault(tmp_path: Path, text: str | bytes, fault: str) -> None:
    assert faults(tmp_path, text) == [fault]
