"""A YAML parser's errors in the words of a person who writes YAML by hand."""

from __future__ import annotations

import re
from collections.abc import Callable

import yaml

# What PyYAML's problem holds → what to say. The first that fits is taken. A function gets the line and the
# column of the problem. True: the line to name is the one where the broken thing opened.
_Words = str | Callable[[str, int], str]


def worded(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """The line (from 1) to send a person to, and what is wrong there."""
    problem = " ".join((error.problem or "").split())
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    column = mark.column if mark else 0
    opened = error.context_mark.line + 1 if error.context_mark else line
    lines = text.splitlines()
    source = lines[line - 1] if 0 < line <= len(lines) else ""
    if source[: column + 1].strip(" ") == "\t":
        return line, _TAB
    if "duplicate anchor" in (error.context or ""):
        return line, f"an anchor of this name already stands on line {opened}"
    for sign, at_opening, words in _WORDED:
        if sign in problem:
            told = words if isinstance(words, str) else words(source, column)
            return (opened if at_opening else line), told
    return line, f"is not valid YAML: {problem}"


def _unquoted(source: str, column: int) -> str:
    rest = source[column:].split(" #")[0].strip()
    if re.search(r"[\[{]", source[:column]):
        rest = re.split(r"[,\]}]", rest)[0]
    return f"a value cannot start with '{rest[:1]}' unless it is in quotes: write \"{rest}\""


def _stray_colon(source: str, column: int) -> str:
    if re.match(r"\s*(- )?[\w.-]+:\s", source[:column]):
        return "a text that holds ': ' must be in quotes"
    return "is indented deeper than the line above allows; fields of one mapping start in one column"


def _stray_text(source: str, column: int) -> str:
    if source.lstrip().startswith("- "):
        return "a list item cannot stand here; look at its indentation"
    if source[:column].strip():
        return "text follows a value that had already ended; put the whole value in quotes"
    return "its indentation fits no line above"


def _missing_value(source: str, column: int) -> str:
    return (
        f"a value is missing before '{source[column : column + 1]}'"
        if source[column:]
        else "a value is missing"
    )


_TAB = "is indented with a tab; YAML takes spaces only"
_BLOCK_TEXT = "a text after | or > begins on the next line"

_WORDED: tuple[tuple[str, bool, _Words], ...] = (
    ("tab character", False, _TAB),
    ("cannot start any token", False, _unquoted),
    ("mapping values are not allowed", False, _stray_colon),
    ("unexpected end of stream", True, "a quote opens here and is never closed"),
    ("expected ',' or ']'", True, "a bracket opens here and ']' never closes it"),
    ("expected ',' or '}'", True, "a bracket opens here and '}' never closes it"),
    ("could not find expected ':'", True, "is no 'field: value' line"),
    ("unknown escape", False, "a backslash in double quotes starts an escape; use single quotes"),
    ("sequence entries are not allowed", False, "a list's '- ' items start on lines of their own"),
    ("node content", False, _missing_value),
    ("a comment or a line break", False, _BLOCK_TEXT),
    ("indentation indicator", False, _BLOCK_TEXT),
    ("document start", False, "cannot stand here; a file is one mapping of 'field: value' lines"),
    ("mapping keys are not allowed", False, "'? ' starts a key of its own; remove it"),
    ("alphabetic or numeric", True, "a value that starts with '*' or '&' must be in quotes"),
    ("block", False, _stray_text),
    ("expected key", False, _stray_text),
)
