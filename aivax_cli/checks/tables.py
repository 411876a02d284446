"""Tables of tests: CSV as spreadsheets write it, JSON, JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aivax_cli.core.errors import unknown_name
from aivax_cli.gateway.check_assertion import MODIFIERS, Assertion
from aivax_cli.gateway.check_file import Retrieve

MAX_BYTES = 50_000_000
_TEST = ("id", "input", "only", "tags", "skip", "repeat", "min_pass")
_RETRIEVE = tuple(Retrieve.model_fields)
_ASSERTIONS = tuple(
    field.alias or name for name, field in Assertion.model_fields.items() if name not in MODIFIERS
)
_LISTS = frozenset(
    ("must", "any", "must_not", "tags", "contains", "contains_any", "cites", "search_terms", "tools_in_order")
)
_TEXTS = frozenset(("equals", "contains", "starts_with", "ends_with", "regex", "factual"))
"""Assertions that a text in braces is no JSON for."""

Row = tuple[int, dict[str, Any]]
"""A row's line, and its fields as those of a test."""


def read_table(file: Path) -> list[Row]:
    """The rows. Raises OSError, or ValueError for what is no table."""
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8; save it as UTF-8") from error
    suffix = file.suffix.lower()
    try:
        if suffix in (".csv", ".tsv"):
            return list(_of_csv(text))
        if suffix in (".jsonl", ".ndjson"):
            lines = enumerate(text.split("\n"), start=1)
            return [(at, _mapping(json.loads(line))) for at, line in lines if line.strip()]
        if suffix == ".json":
            value = json.loads(text)
            return [(1, _mapping(row)) for row in (value if isinstance(value, list) else [value])]
    except (csv.Error, RecursionError) as error:
        raise ValueError(str(error)) from error
    raise ValueError("a dataset is CSV, TSV, JSON or JSONL")


def _of_csv(text: str) -> Iterator[Row]:
    """A column is a field of the test or of its search, or an assertion; the comma may be `;` or a tab."""
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    columns = [column.strip() for column in next(rows, [])]
    for column in columns:
        _known(column, columns)
    for cells in rows:
        if len(cells) > len(columns):
            raise ValueError(f"line {rows.line_num} has more cells than there are columns; quote its text")
        yield rows.line_num, _of_cells(dict(zip(columns, cells, strict=False)), rows.line_num)


def _known(column: str, columns: list[str]) -> None:
    choices = (*_TEST, *_RETRIEVE, *_ASSERTIONS)
    if column not in choices:
        error = unknown_name("column", column, choices, otherwise="")
        raise ValueError(str(error))
    if columns.count(column) > 1:
        raise ValueError(f"there are two columns '{column}'")


def _of_cells(row: dict[str, str], at: int) -> dict[str, Any]:
    test: dict[str, Any] = {}
    for column, cell in row.items():
        if not cell.strip():
            continue
        value = _value(column, cell, at)
        if column in _TEST:
            test[column] = value
        elif column in _RETRIEVE:
            test.setdefault("retrieve", {})[column] = value
        else:
            test.setdefault("expect", []).append({column: value})
    return test


def _value(column: str, cell: str, at: int) -> Any:
    if column in _LISTS:
        return [part.strip() for part in cell.split(";") if part.strip()]
    if column in _ASSERTIONS and column not in _TEXTS and cell.lstrip().startswith("{"):
        try:
            return json.loads(cell)
        except ValueError as error:
            raise ValueError(f"line {at}: {column} is no JSON: {error}") from error
    return cell


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("every row is an object")  # noqa: TRY004 - a fault of the data
    return value
