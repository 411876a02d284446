"""`aivax init`: a workspace that works at once, and nothing of the user's changed."""

from __future__ import annotations

from pathlib import Path

from support.command_line import Done, aivax
from support.in_process import aivax_here

from aivax_cli.gateway.workspace import Workspace


def init(folder: Path, *arguments: str) -> Done:
    return aivax_here("init", *arguments, cwd=folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_a_folder_becomes_a_sound_workspace(tmp_path: Path) -> None:
    assert aivax("init", "shop", cwd=tmp_path, home=tmp_path).code == 0
    root = tmp_path / "shop"
    assert list(contents(root)) == [
        ".gitignore",
        "collections/.collection.schema.json",
        "collections/kb.yaml",
        "gateways/.gateway.schema.json",
        "gateways/my-gateway.yaml",
    ]
    assert Workspace(root).validate_all() == []
    assert ".aivax/" in (root / ".gitignore").read_text().splitlines()


def test_the_example_is_the_only_gateway_and_needs_no_key(tmp_path: Path) -> None:
    init(tmp_path)
    example = Workspace(tmp_path).load_only().definition
    assert example.model == "@local/qwen2.5-coder-0.5b"
    assert example.knowledge is not None
    assert example.knowledge.collections == ["kb"]


def test_a_second_time_changes_nothing_and_says_so(tmp_path: Path) -> None:
    init(tmp_path)
    before = contents(tmp_path)
    again = init(tmp_path, "--json").json
    assert contents(tmp_path) == before
    assert again["created"] == []
    assert "gateways/my-gateway.yaml" in again["present"]


def test_files_of_the_users_own_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "gateways").mkdir()
    (tmp_path / "collections").mkdir()
    own = {
        ".gitignore": b"*.pyc\n",
        "collections/docs.yaml": b"description: x\n",
        "gateways/.gateway.schema.json": b'{"mine": true}',
        "gateways/own.yaml": b"not even valid",
    }
    for name, data in own.items():
        (tmp_path / name).write_bytes(data)
    done = init(tmp_path)
    after = contents(tmp_path)
    assert {name: after[name] for name in own} == own
    assert set(after) - set(own) == {"collections/.collection.schema.json"}
    assert "add the line .aivax/" in done.err
    assert "aivax chat own" in done.err


def test_a_schema_of_an_older_version_is_renewed(tmp_path: Path) -> None:
    init(tmp_path)
    schema = tmp_path / "gateways" / ".gateway.schema.json"
    current = schema.read_text()
    schema.write_text(current.replace('"title": "Gateway"', '"title": "Old"'))
    init(tmp_path)
    assert schema.read_text() == current


def test_the_next_steps_begin_in_the_new_folder(tmp_path: Path) -> None:
    steps = init(tmp_path, "my shop", "--json").json["next"]
    assert steps[0] == "cd 'my shop'"
    assert steps[1] == "aivax ingest ./docs --collection kb"
    assert init(tmp_path, "--json").json["next"][0] == "aivax ingest ./docs --collection kb"


def test_a_folder_of_documents_becomes_the_collections_source(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    init(tmp_path)
    assert Workspace(tmp_path).collection_definition("kb").sources == ["docs"]


def test_a_file_in_the_folders_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "shop").touch()
    done = init(tmp_path, "shop")
    assert done.code == 2
    assert done.err == f"error: {tmp_path}/shop is a file; name a folder\n"


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "gateways").touch()
    done = init(tmp_path)
    assert done.code == 1
    assert done.err.startswith(f"error: cannot write in {tmp_path}: ")
    assert "Traceback" not in done.err


def test_quiet_says_nothing(tmp_path: Path) -> None:
    done = init(tmp_path, "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
