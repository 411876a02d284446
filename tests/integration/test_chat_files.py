"""Files that a chat's commands name, and the completion of their names."""

from pathlib import Path

import pytest

from aivax_cli.cli.attachments import is_image_file
from aivax_cli.cli.chat_completion import files_beginning, files_of_a_question
from aivax_cli.cli.chat_paths import escaped, written_places


@pytest.mark.parametrize(
    ("argument", "places"),
    [
        ("", []),
        ("my notes.md", ["my notes.md"]),
        ("my notes.md other.md", ["my notes.md", "other.md"]),
        ("other.md my notes.md", ["other.md", "my notes.md"]),
        (r"'my notes.md' my\ notes.md", ["my notes.md", "my notes.md"]),
        ("not there.md", ["not", "there.md"]),
        ("~nobody-of-this-name/x.md", ["~nobody-of-this-name/x.md"]),
        ("https://x.org/a%20b.png", ["https://x.org/a%20b.png"]),
    ],
)
def test_names_with_spaces_need_no_quotes_where_the_file_is_there(
    tmp_path: Path, argument: str, places: list[str]
) -> None:
    for name in ("my notes.md", "other.md"):
        (tmp_path / name).touch()
    assert written_places(argument, tmp_path) == places


@pytest.mark.parametrize("path", ["plain.md", "a b.md", "it's (1).md", 'say "x".md', r"back\slash.md"])
def test_an_escaped_path_is_read_as_the_path(tmp_path: Path, path: str) -> None:
    assert written_places(f"first {escaped(path)}", tmp_path) == ["first", path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "old").mkdir(parents=True)
    for name in ("Notes.md", "my notes.md", ".hidden.md", "docs/a b.md", "docs/c.md"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", ["docs/", "my notes.md", "Notes.md"]),
        ("n", ["Notes.md"]),
        ("my n", ["my notes.md"]),
        (".", [".hidden.md"]),
        ("docs/", ["docs/a b.md", "docs/c.md", "docs/old/"]),
        ("./docs/c", ["./docs/c.md"]),
        ("missing/", []),
        ("bad\0name/", []),
    ],
)
def test_files_are_completed_folder_by_folder(folder: Path, typed: str, offered: list[str]) -> None:
    assert [offer.text for offer in files_beginning(folder, typed)] == offered


def test_a_tilde_stays_and_means_the_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    assert [offer.text for offer in files_beginning(Path("/"), "~/docs/c")] == ["~/docs/c.md"]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("docs/c.md my", [(10, "my\\ notes.md")]),
        ("'docs/a", [(0, "docs/a\\ b.md")]),
        ("%", []),
        ("docs/c.md -- wh", []),
    ],
)
def test_before_a_question_the_last_word_is_completed_as_a_word(
    folder: Path, typed: str, offered: list[tuple[int, str]]
) -> None:
    assert [(offer.start, offer.text) for offer in files_of_a_question(folder, typed)] == offered


@pytest.mark.parametrize(
    ("head", "image"),
    [(b"\x89PNG\r\n\x1a\n", True), (b"II*\0", True), (b"text", False), (b"", False)],
)
def test_an_image_is_told_by_what_is_in_the_file(tmp_path: Path, head: bytes, image: bool) -> None:
    (tmp_path / "file").write_bytes(head)
    assert is_image_file(tmp_path / "file") == image
    assert not is_image_file(tmp_path)
    assert not is_image_file(tmp_path / "missing")
    assert not is_image_file(tmp_path / "a\0b")
