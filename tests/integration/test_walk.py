"""Walking real folders, with everything in them that could go wrong."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aivax_cli.core.errors import IngestError
from aivax_cli.ingest.documents import Found, Skipped
from aivax_cli.ingest.walk import SIZE_OPTION, walk


def put(root: Path, *names: str, text: str = "words\n") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def found(root: Path, *paths: Path, **options: object) -> list[str]:
    """The names of the files taken."""
    items = walk(paths or (root,), base=root, **options)  # type: ignore[arg-type]
    return [item.name for item in items if isinstance(item, Found)]


def skipped(root: Path, *paths: Path, **options: object) -> dict[str, str]:
    """What was passed over, and why."""
    items = walk(paths or (root,), base=root, **options)  # type: ignore[arg-type]
    return {item.name: item.reason for item in items if isinstance(item, Skipped)}


def as_an_ordinary_user(work: Callable[[Path], dict[str, str]], argument: Path) -> dict[str, str]:
    """What `work` returns to somebody whom permissions bind: root does it as `nobody`, in a fork."""
    if os.geteuid() != 0:
        return work(argument)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            os.write(writing, json.dumps(work(argument)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        result: dict[str, str] = json.loads(answer.read())
    os.waitpid(child, 0)
    return result


def test_files_come_sorted_by_name_each_once(tmp_path: Path) -> None:
    put(tmp_path, "b.md", "a/z.md", "a/b/c.md", "a.md")
    assert found(tmp_path, tmp_path / "b.md", tmp_path / "a", tmp_path) == [
        "a.md",
        "a/b/c.md",
        "a/z.md",
        "b.md",
    ]


def test_names_are_relative_to_the_base_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "docs/guide/a.md")
    monkeypatch.chdir(tmp_path / "docs")
    items = list(walk([Path("guide"), Path("../docs/guide/a.md")], base=tmp_path))
    assert [item.name for item in items] == ["docs/guide/a.md"]


def test_a_file_outside_the_base_goes_by_its_whole_path(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere/a.md")
    base = tmp_path / "workspace"
    base.mkdir()
    (item,) = walk([tmp_path / "elsewhere"], base=base)
    assert item.name == (tmp_path / "elsewhere/a.md").as_posix()


def test_a_path_that_is_not_there_is_an_error_with_its_fix(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=r"nowhere: no such file or folder; check the path"):
        found(tmp_path, tmp_path / "nowhere")


def test_an_empty_folder_has_no_files(tmp_path: Path) -> None:
    assert list(walk([tmp_path], base=tmp_path)) == []


def test_hidden_files_and_the_folders_of_tools_are_passed_over_in_silence(tmp_path: Path) -> None:
    put(tmp_path, ".hidden.md", ".config/a.md", ".aivax/x.md", "node_modules/p/README.md", "__pycache__/a.md")
    put(tmp_path, ".venv/a.md", "env/pyvenv.cfg", "env/lib/a.md", "docs/.git/a.md", "docs/a.md")
    assert [item.name for item in walk([tmp_path], base=tmp_path)] == ["docs/a.md"]


def test_a_file_that_is_named_is_taken_though_hidden_or_ignored(tmp_path: Path) -> None:
    put(tmp_path, ".gitignore", text="notes.md\n")
    put(tmp_path, ".hidden.md", "notes.md", "poetry.lock")
    named = [tmp_path / name for name in (".hidden.md", "notes.md", "poetry.lock")]
    assert found(tmp_path, *named) == [".hidden.md", "notes.md", "poetry.lock"]


def test_ignore_files_hold_as_in_git_the_nearest_first(tmp_path: Path) -> None:
    put(tmp_path, ".gitignore", text="*.log.md\nbuild/\n/only-here.md\n")
    put(tmp_path, "sub/.gitignore", text="!kept.log.md\n")
    put(tmp_path, "sub/.aivaxignore", text="secret.md\n")
    put(
        tmp_path,
        "a.log.md",
        "sub/kept.log.md",
        "sub/b.log.md",
        "build/a.md",
        "sub/build/a.md",
        "only-here.md",
    )
    put(tmp_path, "sub/only-here.md", "sub/secret.md", "secret.md")
    assert found(tmp_path) == ["secret.md", "sub/kept.log.md", "sub/only-here.md"]


def test_the_repositorys_ignore_file_holds_for_a_folder_in_it(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    put(tmp_path, ".gitignore", text="drafts/\n/docs/old.md\n")
    put(tmp_path, "docs/drafts/a.md", "docs/old.md", "docs/new.md")
    assert found(tmp_path, tmp_path / "docs") == ["docs/new.md"]


def test_an_ignored_folder_that_is_named_is_walked(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    put(tmp_path, ".gitignore", text="/out/\n*.tmp\n")
    put(tmp_path, "out/a.md", "out/b.tmp")
    assert found(tmp_path, tmp_path / "out") == ["out/a.md"]


def test_an_ignore_file_with_nonsense_in_it_still_holds(tmp_path: Path) -> None:
    put(tmp_path, ".gitignore", text="!\n[z-a]\n\\\nb.md\n")
    put(tmp_path, "a.md", "b.md")
    assert found(tmp_path) == ["a.md"]


def test_include_and_exclude_choose_by_pattern(tmp_path: Path) -> None:
    put(tmp_path, "a.md", "b.txt", "sub/c.md", "sub/draft/d.md")
    assert found(tmp_path, include=["*.md"], exclude=["draft/"]) == ["a.md", "sub/c.md"]


def test_a_pattern_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=r"'\[z-a\]' is no file pattern"):
        found(tmp_path, include=["[z-a]"])


def test_symbolic_links_in_a_circle_end(tmp_path: Path) -> None:
    put(tmp_path, "a/b/c.md")
    (tmp_path / "a/b/up").symlink_to(tmp_path)
    (tmp_path / "a/self").symlink_to(tmp_path / "a/self")
    assert found(tmp_path) == ["a/b/c.md"]
    assert skipped(tmp_path) == {"a/self": "a symbolic link to nothing"}


def test_a_file_goes_by_its_own_name_not_by_its_links(tmp_path: Path) -> None:
    put(tmp_path, "z/real.md")
    (tmp_path / "a.md").symlink_to(tmp_path / "z/real.md")
    (tmp_path / "folder").symlink_to(tmp_path / "z")
    assert found(tmp_path) == ["z/real.md"]


def test_a_link_to_a_hidden_place_inside_the_folder_is_followed(tmp_path: Path) -> None:
    put(tmp_path, ".versions/2/a.md")
    (tmp_path / "current").symlink_to(".versions/2")
    assert found(tmp_path) == ["current/a.md"]


def test_a_link_out_of_the_folder_is_not_followed_unless_named(tmp_path: Path) -> None:
    put(tmp_path, "private/key.txt", "docs/a.md")
    for link, target in (("link.txt", "private/key.txt"), ("folder", "private")):
        (tmp_path / "docs" / link).symlink_to(tmp_path / target)
    assert found(tmp_path, tmp_path / "docs") == ["docs/a.md"]
    assert skipped(tmp_path, tmp_path / "docs")["docs/link.txt"].startswith("a symbolic link out of")
    assert found(tmp_path, tmp_path / "docs/link.txt") == ["docs/link.txt"]


@pytest.mark.timeout(120)
def test_special_files_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    monkeypatch.chdir(tmp_path)  # the path of a socket may be 107 bytes long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("sock.md")
        assert skipped(tmp_path) == {
            "pipe.md": "a named pipe, not a file",
            "sock.md": "a socket, not a file",
        }
        assert skipped(tmp_path, Path("pipe.md")) == {"pipe.md": "a named pipe, not a file"}
    assert list(skipped(tmp_path, Path("/dev/zero")).values()) == ["a device, not a file"]


@pytest.mark.timeout(120)
def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.md").open("wb") as file:
        file.truncate(1_000_000_000)
    put(tmp_path, "small.md")
    assert found(tmp_path) == ["small.md"]
    assert skipped(tmp_path) == {
        "huge.md": f"1,000 MB is over the limit of 50 MB; raise it with {SIZE_OPTION}"
    }
    assert found(tmp_path, max_bytes=3) == []


def test_what_is_no_text_is_passed_over_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (tmp_path / "program").write_bytes(b"\x7fELF\x02\x01\x01\0")
    (tmp_path / "fake.md").write_bytes(b"# Title\n\0\0\0")
    (tmp_path / "empty.md").touch()
    put(tmp_path, "LICENSE", "notes.unheard-of")
    assert found(tmp_path) == ["LICENSE", "notes.unheard-of"]
    assert skipped(tmp_path) == {
        "a.png": "a binary file; there is no reader for .png",
        "empty.md": "empty",
        "fake.md": "a binary file",
        "program": "a binary file",
    }


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="file names are Unicode there")
def test_a_file_whose_name_is_not_utf8_is_passed_over_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_text("words\n", encoding="utf-8")
    put(tmp_path, "café.md")
    assert found(tmp_path) == ["café.md"]
    assert skipped(tmp_path) == {"caf?.md": "its name is not UTF-8; rename it"}


def test_what_tools_write_is_passed_over_with_the_reason(tmp_path: Path) -> None:
    put(tmp_path, "uv.lock", "web/package-lock.json", "web/app.min.js", "web/app.js")
    assert found(tmp_path) == ["web/app.js"]
    assert set(skipped(tmp_path).values()) == {"written by a tool; name it to read it"}


def test_a_folder_that_cannot_be_listed_is_passed_over_and_the_rest_goes_on(tmp_path: Path) -> None:
    """A path too long to open fails for every user, root too, as a forbidden one does for others."""
    put(tmp_path, "a.md", "z.md")
    deep = tmp_path / "m"
    deep.mkdir()
    here = os.open(deep, os.O_RDONLY)
    try:
        for _ in range(25):
            os.mkdir("x" * 200, dir_fd=here)
            inner = os.open("x" * 200, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = inner
    finally:
        os.close(here)
    assert found(tmp_path) == ["a.md", "z.md"]
    (reason,) = skipped(tmp_path).values()
    assert reason == "cannot be listed: file name too long"


def test_a_file_that_vanishes_while_walking_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "a.md", "b.md")
    items = walk([tmp_path], base=tmp_path)
    assert next(items).name == "a.md"
    (tmp_path / "b.md").unlink()
    assert list(items) == [Skipped("b.md", "cannot be read: no such file or directory")]


def test_what_may_not_be_read_is_passed_over_with_the_reason() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to anybody but its owner
        root = Path(folder)
        root.chmod(0o755)
        put(root, "a.md", "b.pdf", "c/d.md", "e.md")
        for name in ("a.md", "b.pdf", "c"):
            (root / name).chmod(0)
        reasons = as_an_ordinary_user(skipped, root)
        (root / "c").chmod(0o755)
    assert reasons == {
        "a.md": "permission denied; check its permissions",
        "b.pdf": "permission denied; check its permissions",
        "c": "the folder cannot be listed: permission denied; check its permissions",
    }


@pytest.mark.timeout(120)
def test_thousands_of_files_are_walked_quickly(tmp_path: Path) -> None:
    for folder in range(20):
        put(tmp_path, *(f"{folder}/{number}.md" for number in range(100)))
    assert len(found(tmp_path)) == 2000
