"""`extends`: gateways on bases, as files of a workspace."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.in_process import aivax_here
from support.workspaces import gateway_id

from aivax_cli.core.errors import DefinitionError
from aivax_cli.gateway.workspace import Workspace

HEAD = f"id: {gateway_id(1)}\nname: support\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "gateways").mkdir()
    return tmp_path


def write(root: Path, file: str, text: str) -> None:
    (root / "gateways" / file).write_text(text)


def faults(root: Path) -> list[str]:
    return [str(fault).removeprefix("gateways/") for fault in Workspace(root).validate_all()]


def test_a_gateway_may_be_an_id_a_name_and_a_base(root: Path) -> None:
    write(root, "_base.yaml", 'model: "@openai/gpt-5-mini"\nparameters: {temperature: 0.5}\n')
    write(root, "support.yaml", HEAD + "extends: _base\n")
    loaded = Workspace(root).load("support")
    assert (loaded.definition.model, loaded.definition.parameters.temperature) == ("@openai/gpt-5-mini", 0.5)


def test_a_base_of_its_own_is_no_gateway(root: Path) -> None:
    write(root, "_base.yaml", 'model: "@openai/gpt-5-mini"\n')
    write(root, "support.yaml", HEAD + "extends: _base.yaml\n")
    assert [file.name for file in Workspace(root).gateway_files()] == ["support.yaml"]
    assert Workspace(root).load_only().definition.name == "support"


def test_an_unfinished_base_is_checked_for_all_but_what_is_missing(root: Path) -> None:
    write(root, "_base.yaml", "knowledge: {top: 0}\nrouting: {timeout_s: 3}\n")
    assert faults(root) == ["_base.yaml:1: knowledge.top: must be between 1 and 128, not 0"]


def test_another_gateway_is_a_base_by_its_name(root: Path) -> None:
    write(
        root,
        "first.yaml",
        f'id: {gateway_id(2)}\nname: house\nmodel: "@openai/x"\nprefill:\nlocked: [model]\n',
    )
    write(root, "support.yaml", HEAD + "extends: house\n")
    loaded = Workspace(root).load("support")
    assert (loaded.definition.locked, loaded.locked_at) == (["model"], "gateways/first.yaml:5")


def test_bases_have_bases(root: Path) -> None:
    write(root, "_a.yaml", 'model: "@openai/x"\nparameters: {seed: 1, top_p: 0.1}\n')
    write(root, "_b.yaml", "extends: _a\nparameters: {seed: 2}\n")
    write(root, "support.yaml", HEAD + "extends: _b\n")
    loaded = Workspace(root).load("support")
    assert (loaded.definition.parameters.seed, loaded.definition.parameters.top_p) == (2, 0.1)
    assert [base.name for base in loaded.bases] == ["_b.yaml", "_a.yaml"]


def test_a_circle_is_told_once_where_it_closes(root: Path) -> None:
    write(root, "_a.yaml", "extends: _b\n")
    write(root, "_b.yaml", "extends: _a\n")
    write(root, "support.yaml", HEAD + 'model: "@openai/x"\nextends: _a\n')
    assert "_b.yaml:1: extends: goes in a circle: _a.yaml → _b.yaml → _a.yaml" in faults(root)


def test_a_gateway_that_extends_itself(root: Path) -> None:
    write(root, "support.yaml", HEAD + "extends: support\n")
    assert faults(root) == ["support.yaml:3: extends: goes in a circle: support.yaml → support.yaml"]


def test_a_base_that_is_not_there_suggests_the_nearest_and_nothing_else_is_missing(root: Path) -> None:
    write(root, "_base.yaml", "prefill:\n")
    write(root, "support.yaml", HEAD + "extends: _bse\n")
    assert faults(root) == [
        "support.yaml:3: extends: no gateway '_bse' in this folder; did you mean '_base'?"
    ]


@pytest.mark.parametrize("reference", ["../secret", "/etc/passwd", "_a/../_b"])
def test_a_base_is_no_path(root: Path, reference: str) -> None:
    write(root, "support.yaml", HEAD + f"extends: {reference}\n")
    assert faults(root) == [f"support.yaml:3: extends: no gateway '{reference}' in this folder"]


def test_a_fault_of_a_base_is_told_once_with_its_own_file_and_line(root: Path) -> None:
    write(root, "_base.yaml", '# a comment\nmodel: "@openai/x"\nparameters:\n  temperature: 9\n')
    write(root, "support.yaml", HEAD + "extends: _base\n")
    write(root, "other.yaml", f"id: {gateway_id(2)}\nname: other\nextends: _base\n")
    assert faults(root) == ["_base.yaml:4: parameters.temperature: must be between 0 and 2, not 9"]
    with pytest.raises(DefinitionError, match=r"gateways/_base\.yaml:4: parameters\.temperature"):
        Workspace(root).load("support")


def test_a_base_that_is_no_yaml_is_the_only_fault(root: Path) -> None:
    write(root, "_base.yaml", "model: [\n")
    write(root, "support.yaml", HEAD + "extends: _base\n")
    assert [line.partition(": ")[0] for line in faults(root)] == ["_base.yaml:2"]


def test_a_literal_key_in_a_base_is_refused_and_not_repeated(root: Path) -> None:
    write(root, "_base.yaml", 'model: "@openai/x"\ninstructions: use sk-proj-Abc123def456ghi789jkl\n')
    write(root, "support.yaml", HEAD + "extends: _base\n")
    (fault,) = faults(root)
    assert fault.startswith("_base.yaml:2: instructions: a literal key")
    assert "Abc123" not in fault


def test_what_the_two_lack_together_is_told_of_the_gateway(root: Path) -> None:
    write(root, "_base.yaml", "knowledge: {top: 3}\n")
    write(root, "support.yaml", HEAD + "extends: _base\n")
    found = faults(root)
    assert 'support.yaml:1: model: required, but missing; for example "@openai/gpt-5-mini"' in found
    assert "_base.yaml:1: knowledge.collections: required, but missing; for example [kb]" in found


def test_an_instructions_file_is_beside_the_file_that_names_it(root: Path) -> None:
    write(root, "_base.yaml", 'model: "@openai/x"\ninstructions_file: house.md\n')
    write(root, "house.md", "Be brief.")
    write(root, "support.yaml", HEAD + "extends: _base\n")
    assert Workspace(root).load("support").instructions == "Be brief."


def test_gateways_show_prints_the_two_together_and_what_comes_from_where(root: Path) -> None:
    write(
        root,
        "_base.yaml",
        'model: "@local/qwen2.5-coder-0.5b"\ninstructions: Be brief.\nparameters: {seed: 1}\n',
    )
    write(root, "support.yaml", HEAD + "extends: _base\nparameters: {top_p: 0.5}\n")
    out = aivax_here("gateways", "show", "support", cwd=root).out
    assert "# instructions: gateways/_base.yaml\n" in out
    assert "# extends gateways/_base.yaml: model, instructions, parameters.seed\n" in out
    assert "  seed: 1\n" in out
    record = aivax_here("gateways", "show", "support", "--json", cwd=root).json
    assert record["extends"] == ["gateways/_base.yaml"]
    assert record["inherited"]["parameters.seed"] == "gateways/_base.yaml:3"
    assert record["definition"]["parameters"] == {"seed": 1, "top_p": 0.5}


def test_the_variables_of_a_base_are_filled_in_and_shown_as_written(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_HOST", "http://localhost:4711")
    write(root, "_base.yaml", "model: {base_url: '${MODEL_HOST}/v1', name: m}\n")
    write(root, "support.yaml", HEAD + "extends: _base\n")
    model = Workspace(root).load("support").definition.model
    assert not isinstance(model, (str, list))
    assert model.base_url == "http://localhost:4711/v1"
    for arguments in (("gateways", "show", "support"), ("gateways", "show", "support", "--json")):
        out = aivax_here(*arguments, cwd=root).out
        assert "4711" not in out
        assert "${MODEL_HOST}/v1" in out


def test_a_variable_that_is_not_set_is_told_and_no_value_ever_is(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, "support.yaml", HEAD + "model:\n  base_url: ${MODEL_HOST}/v1\n  name: m\n")
    monkeypatch.delenv("MODEL_HOST", raising=False)
    assert faults(root) == [
        "support.yaml:4: model.base_url: the environment variable MODEL_HOST is not set; "
        "set it, or write ${MODEL_HOST:-default}"
    ]
    monkeypatch.setenv("MODEL_HOST", "hunter2")
    assert faults(root) == [
        "support.yaml:4: model.base_url: must start with http:// or https://, not '${MODEL_HOST}/v1'"
    ]


def test_the_addresses_of_aivax_yaml_take_variables_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_HOST", "http://localhost:4711")
    (root / "aivax.yaml").write_text("providers: {acme: {base_url: '${ACME_HOST}/v1'}}\n")
    write(root, "support.yaml", HEAD + 'model: "@acme/m"\n')
    assert Workspace(root).providers()["acme"].base_url == "http://localhost:4711/v1"
    assert "${ACME_HOST}/v1, no key" in aivax_here("gateways", "show", "support", cwd=root).out


def test_variables_stand_in_addresses_alone(root: Path) -> None:
    write(root, "support.yaml", HEAD + 'model: "${MODEL}"\n')
    assert faults(root) == [
        "support.yaml:3: model: no variable is filled in here, but in addresses alone; "
        "write a mapping with base_url and name"
    ]


def test_the_embedder_of_a_collection_takes_its_address_from_a_variable(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "collections").mkdir()
    embedder = "embedder: {model: {base_url: '${EMBEDDER:-http://localhost:1/v1}', name: e}}\n"
    (root / "collections" / "kb.yaml").write_text(embedder)
    monkeypatch.setenv("EMBEDDER", "http://localhost:4711/v1")
    found = Workspace(root).collection_definition("kb").embedder
    assert not isinstance(found, str)
    assert not isinstance(found.model, str)
    assert found.model.base_url == "http://localhost:4711/v1"


def test_a_base_alone_cannot_be_asked(root: Path) -> None:
    write(root, "_base.yaml", f'id: {gateway_id(2)}\nname: base\nmodel: "@openai/x"\n')
    write(root, "support.yaml", HEAD + "extends: _base\n")
    done = aivax_here("complete", "--gateway", "_base", "Hello", cwd=root)
    assert done.code == 2
    assert "no gateway named '_base'" in done.err
