"""Finding a workspace, and gateways and collections in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aivax_cli.core.errors import DefinitionError, NotFoundError, UsageError
from aivax_cli.gateway.workspace import Workspace, find_workspace

ID = "0198683a-2b6d-7066-9598-6ea119c250c3"
OTHER_ID = "0198683a-2b6d-7066-9598-6ea119c2aaaa"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "gateways").mkdir()
    (tmp_path / "collections").mkdir()
    return Workspace(tmp_path)


def write(
    workspace: Workspace, file: str, *, name: str = "support", identity: str = ID, more: str = ""
) -> None:
    text = f'id: {identity}\nname: {name}\nmodel: "@openai/gpt-5-mini"\n{more}'
    (workspace.gateways_dir / file).write_text(text)


def test_a_workspace_is_found_from_any_folder_below(tmp_path: Path) -> None:
    (tmp_path / "gateways").mkdir()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_workspace(below).root == tmp_path


def test_aivax_yaml_makes_a_workspace_too(tmp_path: Path) -> None:
    (tmp_path / "aivax.yaml").touch()
    assert find_workspace(tmp_path).root == tmp_path


def test_the_nearest_workspace_wins(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    for folder in (tmp_path, inner):
        (folder / "gateways").mkdir(parents=True)
    assert find_workspace(inner).root == inner


def test_no_workspace_is_an_error_with_its_fix(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no workspace in .* or above it; make one: aivax init"):
        find_workspace(tmp_path)


@pytest.mark.parametrize(
    "reference", ["help", "help.yaml", "gateways/help.yaml", "support", ID, "support:50c3"]
)
def test_a_gateway_is_addressed_by_file_name_id_and_slug(workspace: Workspace, reference: str) -> None:
    write(workspace, "help.yaml")
    write(workspace, "other.yaml", name="other", identity=OTHER_ID)
    assert workspace.load(reference).definition.id == ID


def test_a_files_name_goes_before_another_gateways_name(workspace: Workspace) -> None:
    write(workspace, "a.yaml", name="b")
    write(workspace, "b.yaml", name="a", identity=OTHER_ID)
    assert workspace.load("a").definition.name == "b"


def test_an_unknown_name_suggests_the_nearest(workspace: Workspace) -> None:
    write(workspace, "support.yaml")
    with pytest.raises(NotFoundError, match=r"no gateway named 'suport'; did you mean 'support'\?"):
        workspace.load("suport")


def test_in_an_empty_workspace_an_unknown_name_says_how_to_make_one(workspace: Workspace) -> None:
    with pytest.raises(NotFoundError, match="`aivax gateways new NAME` makes one"):
        workspace.load("support")


def test_a_broken_file_does_not_keep_others_from_being_used(workspace: Workspace) -> None:
    write(workspace, "support.yaml")
    (workspace.gateways_dir / "broken.yaml").write_text("name: [")
    assert workspace.load("support:50c3").definition.name == "support"


@pytest.mark.parametrize("reference", ["broken", "support", "support:50c3"])
def test_a_broken_gateway_that_is_meant_tells_its_faults(workspace: Workspace, reference: str) -> None:
    write(workspace, "broken.yaml", more="a: 1\nb: 2\n")
    with pytest.raises(DefinitionError) as caught:
        workspace.load(reference)
    assert [fault.field for fault in caught.value.faults] == ["a", "b"]


def test_a_name_that_two_gateways_have_needs_the_files_name(workspace: Workspace) -> None:
    write(workspace, "a.yaml")
    write(workspace, "b.yaml")
    with pytest.raises(UsageError, match=r"names several gateways: gateways/a.yaml, gateways/b.yaml"):
        workspace.load("support")
    assert workspace.load("b").file.name == "b.yaml"


def test_two_endings_of_one_name_need_the_ending(workspace: Workspace) -> None:
    write(workspace, "a.yaml")
    write(workspace, "a.yml", name="other", identity=OTHER_ID)
    with pytest.raises(UsageError, match="names several files"):
        workspace.load("a")
    assert workspace.load("a.yml").definition.name == "other"


def test_the_only_gateway_needs_no_name(workspace: Workspace) -> None:
    write(workspace, "support.yaml")
    assert workspace.load_only().definition.name == "support"


def test_of_several_gateways_one_must_be_named(workspace: Workspace) -> None:
    write(workspace, "a.yaml")
    write(workspace, "b.yaml", name="b", identity=OTHER_ID)
    with pytest.raises(UsageError, match="there are 2 gateways; name one of: a, b"):
        workspace.load_only()


def test_without_gateways_there_is_none_to_take(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="no gateway in gateways; `aivax gateways new NAME` makes one"):
        workspace.load_only()


def test_instructions_are_read_from_their_file(workspace: Workspace) -> None:
    (workspace.root / "shared.md").write_bytes("\ufeffSeja gentil.\n".encode())
    write(workspace, "support.yaml", more="instructions_file: ../shared.md\n")
    loaded = workspace.load("support")
    assert loaded.instructions == "Seja gentil.\n"
    assert loaded.instructions_file is not None
    assert loaded.instructions_file.resolve() == workspace.root.resolve() / "shared.md"


def test_instructions_can_stand_in_the_gateway(workspace: Workspace) -> None:
    write(workspace, "support.yaml", more="instructions: Be kind.\n")
    assert workspace.load("support").instructions == "Be kind."


def test_paths_in_messages_start_where_the_user_stands(workspace: Workspace) -> None:
    write(workspace, "bad.yaml", more="zzz: 1\n")
    below = workspace.root / "docs"
    below.mkdir()
    [fault] = find_workspace(below).validate_all()
    assert fault.file == "../gateways/bad.yaml"
    [fault] = find_workspace(workspace.gateways_dir).validate_all()
    assert fault.file == "bad.yaml"


def test_providers_of_aivax_yaml_are_known_to_gateways(workspace: Workspace) -> None:
    workspace.settings_file.write_text("providers: {acme: {base_url: https://acme.example/v1}}\n")
    (workspace.gateways_dir / "a.yaml").write_text(f'id: {ID}\nname: a\nmodel: "@acme/x"\n')
    assert workspace.validate_all() == []
    assert workspace.providers()["acme"].base_url == "https://acme.example/v1"


def test_a_broken_aivax_yaml_tells_its_faults(workspace: Workspace) -> None:
    workspace.settings_file.write_text("providers:\n  acme: {url: x}\n  Big: {base_url: http://x}\n")
    with pytest.raises(DefinitionError) as caught:
        workspace.providers()
    assert [str(fault) for fault in caught.value.faults] == [
        "aivax.yaml:2: providers.acme.url: unknown field; did you mean 'base_url'?",
        "aivax.yaml:3: providers.Big: must be lower-case letters, digits, '.', '_' and '-', at most 32, "
        "not 'Big'",
    ]


def test_an_empty_aivax_yaml_changes_nothing(workspace: Workspace) -> None:
    workspace.settings_file.write_text("# later\n")
    assert "openai" in workspace.providers()
    assert workspace.validate_all() == []


def test_a_collections_definition_is_read(workspace: Workspace) -> None:
    text = "description: Our docs\nsources: [docs]\ncontext: Be exact.\nchunk_tokens: 128\n"
    (workspace.collections_dir / "kb.yaml").write_text(text)
    collection = workspace.collection_definition("kb")
    assert (collection.name, collection.sources, collection.context) == ("kb", ["docs"], "Be exact.")
    assert collection.chunk_tokens == 128


def test_a_collection_without_a_file_has_the_defaults(workspace: Workspace) -> None:
    collection = workspace.collection_definition("kb")
    assert (collection.name, collection.sources, collection.chunk_tokens) == ("kb", [], 256)


def test_a_collections_name_is_its_files(workspace: Workspace) -> None:
    (workspace.collections_dir / "kb.yaml").write_text("description: x\nname: docs\n")
    with pytest.raises(
        DefinitionError, match=r"kb\.yaml:2: name: must be the file's own name, 'kb', or left out"
    ):
        workspace.collection_definition("kb")
