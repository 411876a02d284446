"""A message in the person's own editor."""

import os
import sys
from pathlib import Path

import pytest

from aivax_cli.cli.chat_editor import edited
from aivax_cli.core.errors import UsageError


@pytest.fixture
def editor(tmp_path: Path) -> str:
    """Writes down what it was given, where, and how; leaves a backup; puts a line below the text."""
    script = tmp_path / "my editor.py"
    script.write_text(
        "import os, sys, pathlib\n"
        "file = pathlib.Path(sys.argv[-1])\n"
        "mode = oct(file.stat().st_mode & 0o777) + ' ' + oct(file.parent.stat().st_mode & 0o777)\n"
        f"pathlib.Path({str(tmp_path / 'seen')!r}).write_text(str(file) + '\\n' + mode)\n"
        "text = file.read_text(encoding='utf-8')\n"
        "pathlib.Path(str(file) + '~').write_text(text, encoding='utf-8')\n"
        "file.write_text(text + 'added ☕\\n', encoding='utf-8')\n"
        "sys.exit(int(sys.argv[1]))\n",
        encoding="utf-8",
    )
    return f"'{sys.executable}' '{script}'"


def test_what_is_saved_comes_back(editor: str) -> None:
    assert edited("naïve", {"EDITOR": f"{editor} 0"}) == "naïve\nadded ☕"
    assert edited("", {"EDITOR": f"{editor} 0"}) == "added ☕"


def test_visual_comes_before_editor(editor: str) -> None:
    assert edited("a", {"VISUAL": f"{editor} 0", "EDITOR": "false"}) == "a\nadded ☕"


def test_an_editor_that_fails_changes_nothing(editor: str) -> None:
    with pytest.raises(UsageError, match=r"the editor '.*' failed; the message is as it was"):
        edited("as it was", {"EDITOR": f"{editor} 1"})


def test_the_file_is_private_and_gone_afterwards(editor: str, tmp_path: Path) -> None:
    edited("secret", {"EDITOR": f"{editor} 0"})
    file, mode = (tmp_path / "seen").read_text().splitlines()
    assert file.endswith(".md")
    assert mode == "0o600 0o700"
    assert not Path(file).parent.exists()


@pytest.mark.parametrize(
    ("environ", "error"),
    [
        (
            {"EDITOR": "no-such-editor -w"},
            "cannot start the editor 'no-such-editor': no such file or directory",
        ),
        ({"VISUAL": "vi 'unclosed"}, "the editor 'vi 'unclosed' is no command: No closing quotation"),
        ({"PATH": os.devnull, "EDITOR": "  "}, "there is no editor"),
    ],
)
def test_what_is_missing_is_said_with_what_to_set(environ: dict[str, str], error: str) -> None:
    with pytest.raises(UsageError) as raised:
        edited("text", environ)
    fix = "set VISUAL or EDITOR to an editor's command, such as EDITOR=nano"
    assert str(raised.value) == f"{error}; {fix}"


def test_an_editor_is_found_where_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "nano").write_text('#!/bin/sh\necho found >> "$1"\n')
    (tmp_path / "nano").chmod(0o755)
    assert edited("", {"PATH": str(tmp_path)}) == "found"
