"""A definition file as a tree of values, with what is wrong in its text alone."""

from __future__ import annotations

import os
import re
from pathlib import Path

from aivax_cli.gateway.secrets import looks_secret, names_secret
from aivax_cli.gateway.yamltree import SyntaxTrouble, Tree, Trouble, read_tree

MAX_BYTES = 1_000_000


def display(path: Path, start: Path) -> str:
    """A path as messages show it: relative to where the user stands, absolute when that is far away."""
    relative = Path(os.path.relpath(path, start))
    return str(path) if relative.parts[:3] == ("..", "..", "..") else relative.as_posix()


def read_yaml(file: Path, *, may_be_empty: bool = False) -> tuple[Tree | None, list[Trouble]]:
    """The file's tree with what is wrong in the text; no tree when it cannot be used at all."""
    text, problem = read_text(file)
    if text is None:
        return None, [problem]
    try:
        tree = read_tree(text)
    except SyntaxTrouble as stop:
        return None, [stop.trouble]
    if tree.value is None and may_be_empty:
        return Tree({}, tree.places, tree.troubles), list(tree.troubles)
    if tree.value is None:
        fix = "`aivax gateways new NAME` writes one to start from"
        return None, [Trouble(1, (), f"is empty; {fix}")]
    if not isinstance(tree.value, dict):
        found = "a list" if isinstance(tree.value, list) else "a single value"
        problem = Trouble(tree.line(()), (), f"must be a mapping of fields, 'name: value', not {found}")
        return None, [problem]
    return tree, [*tree.troubles, *_secrets(tree)]


def read_text(file: Path) -> tuple[str | None, Trouble]:
    """A file's text, or the trouble that it cannot be read."""

    def trouble(problem: str, line: int = 1) -> tuple[None, Trouble]:
        return None, Trouble(line, (), problem)

    try:
        if not file.exists():
            return trouble("no such file")
        if not file.is_file():
            return trouble("is not a file")
        size = file.stat().st_size
        if size > MAX_BYTES:
            return trouble(f"is {size:,} bytes long; at most {MAX_BYTES:,} are read")
        data = file.read_bytes()
    except OSError as error:
        return trouble(f"cannot be read: {(error.strerror or type(error).__name__).lower()}")
    try:
        return data.decode("utf-8-sig"), Trouble(1, (), "")
    except UnicodeDecodeError as error:
        if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return trouble("is UTF-16; save it as UTF-8")
        line = data.count(b"\n", 0, error.start) + 1
        return trouble(f"is not UTF-8 (byte 0x{data[error.start]:02X}); save it as UTF-8", line)


def _secrets(tree: Tree) -> list[Trouble]:
    """Literal keys, wherever they stand. The value itself is never repeated."""
    troubles = []
    for path, value in tree.scalars():
        if value is None or isinstance(value, bool):
            continue
        text = str(value)
        named = next((s for s in reversed(path) if isinstance(s, str)), "")
        if looks_secret(text) or (text and names_secret(named)):
            troubles.append(Trouble(tree.line(path), path, _instead_of_key(text), alone=True))
    return troubles


def _instead_of_key(value: str) -> str:
    if variable := re.fullmatch(r"\$\{?(\w+)\}?", value):
        return (
            f"keys are never read from YAML, and variables are filled into addresses alone; "
            f"write api_key_env: {variable[1]}"
        )
    return (
        "a literal key must not stand in a file that is kept and shared; "
        "put it in an environment variable and name that in api_key_env, or a command in api_key_command"
    )
