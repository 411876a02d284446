"""`aivax gateways` as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.command_line import Done, aivax
from support.gateway_files import HEAD, ID
from support.in_process import aivax_here

from aivax_cli.gateway.workspace import Workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with one gateway that has knowledge."""
    folder = tmp_path / "workspace"
    (folder / "gateways").mkdir(parents=True)
    text = HEAD + "description: Helps [kb] people\nknowledge: {collections: [kb], strategy: full-rewrite}\n"
    (folder / "gateways" / "help.yaml").write_text(text)
    return folder


def run(root: Path, *arguments: str) -> Done:
    return aivax_here(*arguments, cwd=root)


def test_the_list_shows_what_a_gateway_is(root: Path) -> None:
    done = run(root, "gateways")
    assert done.code == 0
    header, row = done.out.splitlines()
    assert header.split() == ["name", "slug", "model", "strategy", "collections", "description"]
    assert row.split() == [
        *("support", "support:50c3", "@openai/gpt-5-mini", "FullRewrite", "kb", "Helps", "[kb]", "people"),
    ]


def test_a_broken_gateway_is_listed_as_broken_with_its_first_fault(root: Path) -> None:
    (root / "gateways" / "bad.yaml").write_text("id: x\nzzz: 1\n")
    done = run(root, "gateways")
    assert done.code == 0
    assert done.out.splitlines()[1].split() == ["bad", "broken", "4", "faults"]
    assert "gateways/bad.yaml:1: id: must be a UUIDv7 in lower case, not 'x'" in done.err
    assert "(and 3 more: aivax gateways validate)" in done.err


def test_the_list_as_json(root: Path) -> None:
    (root / "gateways" / "bad.yaml").write_text(HEAD.replace("support", "bad") + "zzz: 1\n")
    bad, good = run(root, "gateways", "--json").json
    assert (good["file"], good["slug"], good["faults"]) == ("gateways/help.yaml", "support:50c3", [])
    assert (good["strategy"], good["collections"]) == ("FullRewrite", ["kb"])
    assert (bad["name"], bad["model"]) == ("bad", None)
    [fault] = bad["faults"]
    assert (fault["file"], fault["line"], fault["field"]) == ("gateways/bad.yaml", 4, "zzz")


@pytest.mark.parametrize("group", ["gateways", "collections", "models", "keys", "log"])
def test_every_group_that_lists_does_so_by_name_too(root: Path, group: str) -> None:
    assert run(root, group, "list", "--json").json == run(root, group, "--json").json


def test_options_before_a_command_of_the_group_hold_for_it(root: Path) -> None:
    assert run(root, "gateways", "--json", "validate").json == {"files": 1, "faults": []}


def test_outside_of_a_workspace_the_fix_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "gateways")
    assert done.code == 2
    assert done.err == f"error: no workspace in {tmp_path} or above it; make one: aivax init\n"


def test_what_show_prints_is_the_same_gateway(root: Path) -> None:
    (root / "gateways" / "help.md").write_text("Be kind.\nBe brief.\n")
    text = HEAD + "instructions_file: help.md\npricing: {input: 0.25, cached_input: 0.025, output: 2}\n"
    (root / "gateways" / "help.yaml").write_text(text)
    before = Workspace(root).load("help")
    done = run(root, "gateways", "show", "support:50c3")
    assert done.code == 0
    assert "# instructions: gateways/help.md\n" in done.out
    assert "# endpoint: https://api.openai.com/v1, key from OPENAI_API_KEY\n" in done.out
    (root / "gateways" / "help.yaml").write_text(done.out)
    after = Workspace(root).load("help")
    assert after.instructions == before.instructions
    unmoved = {"instructions": None, "instructions_file": None}
    assert after.definition.model_copy(update=unmoved) == before.definition.model_copy(update=unmoved)


def test_show_fills_in_the_defaults(root: Path) -> None:
    shown = run(root, "gateways", "show", "help", "--json").json
    assert shown["definition"]["knowledge"] == {
        "collections": ["kb"],
        "strategy": "FullRewrite",
        "window": 3,
        "top": 5,
        "min_score": 0.2,
        "reranker": "fused",
        "references": 0,
        "attach": "message",
        "max_rounds": 5,
    }
    assert shown["endpoint"]["base_url"] == "https://api.openai.com/v1"


def test_show_of_an_unknown_gateway_suggests_the_nearest(root: Path) -> None:
    done = run(root, "gateways", "show", "suport")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: no gateway named 'suport'; did you mean 'support'?\n"


@pytest.mark.parametrize("collection", [None, "kb", "Perguntas, respostas"])
@pytest.mark.parametrize("name", ["faq", "123", "no", "null"])
def test_a_new_gateway_is_sound_whatever_it_is_called(root: Path, name: str, collection: str | None) -> None:
    extra = ["--collection", collection] if collection else []
    done = run(root, "gateways", "new", name, "--model", "@anthropic/claude", "--json", *extra)
    assert done.code == 0
    assert Workspace(root).validate_all() == []
    made = Workspace(root).load(done.json["slug"]).definition
    assert (made.name, made.id, made.model) == (name, done.json["id"], "@anthropic/claude")
    assert (made.knowledge.collections if made.knowledge else None) == ([collection] if collection else None)


def test_every_commented_field_of_a_new_gateway_can_be_uncommented(root: Path) -> None:
    run(root, "gateways", "new", "faq", "--collection", "kb")
    file = root / "gateways" / "faq.yaml"
    fields = ("max_completion_tokens", "seed", "reasoning_effort", "extra_body", "window", "max_tokens")
    fields += ("rewrite", "  models", "prompt_template", "pricing")
    text = file.read_text()
    for field in fields:
        lines = [line for line in text.splitlines() if line.lstrip(" #").startswith(field.strip() + ":")]
        assert len(lines) == 1, field
        assert "# " in lines[0]
        text = text.replace(lines[0], lines[0].replace("# ", "", 1))
    file.write_text(text)
    assert Workspace(root).validate_all() == []
    made = Workspace(root).load("faq").definition
    assert made.prompt_template == "{prompt}\nAnswer in one sentence."
    assert (made.pricing, made.rewrite.models) != (None, [])


def test_a_new_gateway_names_its_schema_and_has_it_beside_it(root: Path) -> None:
    run(root, "gateways", "new", "faq")
    first = (root / "gateways" / "faq.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=./.gateway.schema.json"
    schema = run(root, "schema", "gateway").out
    assert (root / "gateways" / ".gateway.schema.json").read_text() == schema


@pytest.mark.parametrize("name", ["help", "support"])
def test_a_name_that_is_taken_is_refused(root: Path, name: str) -> None:
    before = (root / "gateways" / "help.yaml").read_bytes()
    done = run(root, "gateways", "new", name)
    assert done.code == 2
    assert done.err == f"error: '{name}' is already there: gateways/help.yaml; choose another name\n"
    assert [file.name for file in (root / "gateways").iterdir()] == ["help.yaml"]
    assert (root / "gateways" / "help.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["My FAQ"], "for example: aivax gateways new my-faq"),
        (["../x"], "for example: aivax gateways new x"),
        (["faq", "--model", "gpt-5"], 'write "@provider/name", like "@openai/gpt-5"'),
        (["faq", "--model", "@opnai/gpt-5"], "did you mean 'openai'?"),
        (["faq", "--collection", "a/b"], "'a/b' is no collection name"),
    ],
)
def test_a_new_gateway_that_would_be_broken_is_refused(root: Path, arguments: list[str], told: str) -> None:
    done = run(root, "gateways", "new", *arguments)
    assert done.code == 2
    assert told in done.err
    assert len(list((root / "gateways").iterdir())) == 1


def test_a_key_given_as_model_is_not_repeated(root: Path) -> None:
    key = "sk-proj-Abc123def456ghi789jkl"
    done = run(root, "gateways", "new", "faq", "--model", key)
    assert done.code == 2
    assert key not in done.err


def test_a_sound_workspace_says_so(root: Path) -> None:
    done = run(root, "gateways", "validate")
    assert (done.code, done.out, done.err) == (0, "", "1 file checked, no faults\n")


def test_every_fault_of_every_file_is_data_on_stdout(root: Path) -> None:
    (root / "gateways" / "a.yaml").write_text(
        HEAD.replace("support", "a").replace(ID[-4:], "aaaa") + "x: 1\ny: 2\n"
    )
    (root / "gateways" / "b.yaml").write_text("name: [")
    done = run(root, "gateways", "validate")
    assert done.code == 2
    assert [line.split(": ")[0] for line in done.out.splitlines()] == [
        "gateways/a.yaml:4",
        "gateways/a.yaml:5",
        "gateways/b.yaml:1",
    ]
    assert done.err == "3 faults in 2 of 3 files\n"


def test_faults_as_json(root: Path) -> None:
    (root / "gateways" / "a.yaml").write_text("- x\n")
    done = run(root, "gateways", "validate", "--json", "gateways/a.yaml")
    assert done.code == 2
    assert done.json == {
        "files": 1,
        "faults": [
            {
                "file": "gateways/a.yaml",
                "line": 1,
                "field": "",
                "problem": "must be a mapping of fields, 'name: value', not a list",
            }
        ],
    }


def test_files_and_folders_can_be_named(root: Path) -> None:
    (root / "gateways" / "bad.yaml").write_text("- x\n")
    assert run(root, "gateways", "validate", "gateways/help.yaml").code == 0
    assert run(root, "gateways", "validate", "gateways").code == 2


def test_a_file_that_is_not_there_is_a_fault(root: Path) -> None:
    done = run(root, "gateways", "validate", "gateways/gone.yaml")
    assert (done.code, done.out) == (2, "gateways/gone.yaml:1: no such file\n")


def test_a_file_outside_of_any_workspace_can_be_checked(tmp_path: Path) -> None:
    (tmp_path / "lone.yaml").write_text(HEAD + "zzz: 1\n")
    done = run(tmp_path, "gateways", "validate", "lone.yaml")
    assert done.code == 2
    assert done.out.startswith("lone.yaml:4: zzz: unknown field")


def test_a_copy_is_a_fault_also_when_only_it_is_checked(root: Path) -> None:
    (root / "gateways" / "copy.yaml").write_text((root / "gateways" / "help.yaml").read_text())
    done = run(root, "gateways", "validate", "gateways/copy.yaml")
    assert done.code == 2
    assert all("gateways/help.yaml" in line for line in done.out.splitlines())


def test_commands_work_as_if_started_in_another_folder(root: Path) -> None:
    done = aivax("-C", str(root / "gateways"), "gateways", "--json", cwd=root.parent, home=root.parent)
    assert [gateway["file"] for gateway in done.json] == ["help.yaml"]


def test_the_definition_shown_is_plain_yaml(root: Path) -> None:
    shown = yaml.safe_load(run(root, "gateways", "show", "help").out)
    assert shown["description"] == "Helps [kb] people"
