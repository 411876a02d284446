"""Every way a gateway can be wrong, and exactly what is said about it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from support.gateway_files import HEAD, ID, faults

from aivax_cli.gateway.workspace import Workspace

KEY = "sk-proj-Abc123def456ghi789jkl"
LITERAL = (
    "a literal key must not stand in a file that is kept and shared; "
    "put it in an environment variable and name that in api_key_env, or a command in api_key_command"
)
STRATEGIES = "Plain, Concatenate, UserRewrite, FullRewrite, QueryFunction"
NAME_RULE = "must be lower-case letters, digits, '.', '_' and '-', at most 64, the first a letter or digit"


WRONG = {
    "nothing but a name": (
        "name: support\n",
        [
            "1: id: required, but missing; this one is unused: <new id>",
            '1: model: required, but missing; for example "@openai/gpt-5-mini"',
        ],
    ),
    "an empty required field": (
        f'id: {ID}\nname:\nmodel: "@openai/x"\n',
        ["2: name: required, but empty"],
    ),
    "a name in capitals": (
        f'id: {ID}\nname: My Gateway\nmodel: "@openai/x"\n',
        [f"2: name: {NAME_RULE}, not 'My Gateway'; did you mean 'my-gateway'?"],
    ),
    "a number as name": (
        f'id: {ID}\nname: 123\nmodel: "@openai/x"\n',
        ['2: name: must be text, not the number 123; put it in quotes: "123"'],
    ),
    "a boolean as name": (
        f'id: {ID}\nname: no\nmodel: "@openai/x"\n',
        ['2: name: must be text, not no, which YAML reads as false; put it in quotes: "no"'],
    ),
    "a boolean as a field's name": (
        HEAD + "on: 1\n",
        ['4: the name on is not text in YAML; write "on"'],
    ),
    "a random id": (
        'id: 0f8fad5b-d9cb-469f-a165-70867728950e\nname: a\nmodel: "@openai/x"\n',
        [
            "1: id: must be a UUIDv7 in lower case, not '0f8fad5b-d9cb-469f-a165-70867728950e'; "
            "this one is unused: <new id>"
        ],
    ),
    "a misspelled required field": (
        f'id: {ID}\nname: a\nmodle: "@openai/x"\n',
        ["3: modle: unknown field; did you mean 'model'?"],
    ),
    "a misspelled field in a mapping": (
        HEAD + "knowledge:\n  collections: [kb]\n  stratgy: Plain\n",
        ["6: knowledge.stratgy: unknown field; did you mean 'strategy'?"],
    ),
    "a field of another mapping": (
        HEAD + "temperature: 0.5\n",
        ["4: temperature: unknown field; did you mean 'parameters.temperature'?"],
    ),
    "a field in camel case": (
        HEAD + "knowledge: {collections: [kb], minScore: 0.3}\n",
        ["4: knowledge.minScore: unknown field; did you mean 'min_score'?"],
    ),
    "another tool's name for a field": (
        HEAD + "system_prompt: Be kind.\nparameters:\n  max_tokens: 9\n",
        [
            "4: system_prompt: unknown field; did you mean 'instructions'?",
            "6: parameters.max_tokens: unknown field; did you mean 'max_completion_tokens'?",
        ],
    ),
    "a field like no other": (
        HEAD + "pricing:\n  input: 1\n  output: 2\n  zzz: 3\n",
        ["7: pricing.zzz: unknown field; known here: input, output, cached_input"],
    ),
    "a field given twice": (
        HEAD + "description: a\ndescription: b\n",
        ["5: description: stands here a second time (first on line 4); keep one"],
    ),
    "a number as text": (
        HEAD + 'parameters: {temperature: "0.5", seed: 1.5}\n',
        [
            "4: parameters.temperature: must be a number, not the text '0.5'; remove the quotes",
            "4: parameters.seed: must be a whole number, not the number 1.5",
        ],
    ),
    "a number that YAML 1.1 does not know": (
        HEAD + "pricing: {input: 1e-1, output: 1.0}\n",
        ["4: pricing.input: must be a number, not the text '1e-1'; write 0.100000"],
    ),
    "a boolean as number": (
        HEAD + "knowledge:\n  collections: [kb]\n  top: yes\n",
        ["6: knowledge.top: must be a whole number, not yes, which YAML reads as true"],
    ),
    "numbers out of bounds": (
        HEAD + "parameters:\n  temperature: 3\n  max_completion_tokens: 0\nrewrite:\n  timeout_s: 0\n",
        [
            "5: parameters.temperature: must be between 0 and 2, not 3",
            "6: parameters.max_completion_tokens: must be 1 or more, not 0",
            "8: rewrite.timeout_s: must be greater than 0, not 0",
        ],
    ),
    "not a number": (
        HEAD + "pricing: {input: .nan, output: .inf}\n",
        [
            "4: pricing.input: must be a finite number, not .nan",
            "4: pricing.output: must be a finite number, not .inf",
        ],
    ),
    "not a number, deep in a body": (
        HEAD + "parameters:\n  extra_body:\n    a: [1, -.INF]\n",
        ["6: parameters.extra_body.a[1]: must be a finite number, not -.INF"],
    ),
    "a misspelled choice": (
        HEAD + "knowledge:\n  collections: [kb]\n  strategy: ful-rewrit\n",
        [
            f"6: knowledge.strategy: must be one of {STRATEGIES}, not 'ful-rewrit'; "
            "did you mean 'FullRewrite'?"
        ],
    ),
    "a choice like no other": (
        HEAD + "knowledge:\n  collections: [kb]\n  reranker: cohere\n",
        ["6: knowledge.reranker: must be one of fused, rrf, lexical, none, smart, not 'cohere'"],
    ),
    "a boolean for a choice": (
        HEAD + "parameters:\n  verbosity: off\n",
        [
            "5: parameters.verbosity: must be text, not off, which YAML reads as false; "
            'put it in quotes: "off"; choose one of: low, medium, high'
        ],
    ),
    "one text for a list": (
        HEAD + "knowledge:\n  collections: kb\n",
        ["5: knowledge.collections: must be a list, not the text 'kb'; write [kb]"],
    ),
    "an empty list": (
        HEAD + "knowledge:\n  collections: []\n",
        ["5: knowledge.collections: must not be empty"],
    ),
    "knowledge without collections": (
        HEAD + "description: x\nknowledge:\n  top: 3\n",
        ["5: knowledge.collections: required, but missing; for example [kb]"],
    ),
    "a path as collection": (
        HEAD + "knowledge:\n  collections: [../kb]\n",
        [
            "5: knowledge.collections[0]: must be 1 to 128 printable characters without '/' or a space at "
            "either end, not '../kb'"
        ],
    ),
    "a text for a mapping": (
        HEAD + "parameters: hot\n",
        [
            "4: parameters: must be a mapping, not the text 'hot'; write its fields below it, indented, "
            "one 'field: value' a line"
        ],
    ),
    "a list for a mapping": (
        HEAD + "knowledge:\n  - kb\n",
        [
            "4: knowledge: must be a mapping, not a list; write its fields below it, indented, "
            "one 'field: value' a line"
        ],
    ),
    "a template without its place": (
        HEAD + "prompt_template: Answer.\n",
        ["4: prompt_template: must contain {prompt}, where the user's message goes"],
    ),
    "a template without quotes": (
        HEAD + "prompt_template: {prompt}\n",
        ['4: prompt_template: must be text, not a mapping; put it in quotes: "{prompt}"'],
    ),
    "a number among texts": (
        HEAD + "parameters:\n  stop:\n    - END\n    - 5\n",
        ['7: parameters.stop[1]: must be text, not the number 5; put it in quotes: "5"'],
    ),
    "neither text nor list": (
        HEAD + "parameters:\n  stop: 5\n",
        ["5: parameters.stop: must be a text or a list of texts; a number needs quotes"],
    ),
    "an example without its answer": (
        HEAD + "examples:\n  - user: a\n    assistant: b\n  - user: c\n",
        ["7: examples[1].assistant: required, but missing"],
    ),
    "a model without provider": (
        f"id: {ID}\nname: a\nmodel: gpt-5-mini\n",
        ['3: model: \'gpt-5-mini\' names no provider; write "@provider/name", like "@openai/gpt-5-mini"'],
    ),
    "a model without its @": (
        f"id: {ID}\nname: a\nmodel: openai/gpt-5-mini\n",
        [
            "3: model: 'openai/gpt-5-mini' names no provider; "
            'write "@provider/name", like "@openai/gpt-5-mini"'
        ],
    ),
    "a provider without model": (
        f'id: {ID}\nname: a\nmodel: "@openai"\n',
        ["3: model: '@openai' is incomplete; write \"@provider/name\""],
    ),
    "an unknown provider": (
        f'id: {ID}\nname: a\nmodel: "@opnai/gpt-5-mini"\n',
        ["3: model: no provider named 'opnai'; did you mean 'openai'?"],
    ),
    "a line break in a name": (
        f'id: {ID}\nname: a\nmodel: "@ol\\nlama/x"\n',
        ["3: model: no provider named 'ol lama'; did you mean 'ollama'?"],
    ),
    "an unknown provider in the pool": (
        HEAD + 'rewrite:\n  models:\n    - "@openai/gpt-5-nano"\n    - "@grok/x"\n',
        ["7: rewrite.models[1]: no provider named 'grok'; did you mean 'groq'?"],
    ),
    "a number as model": (
        f"id: {ID}\nname: a\nmodel: 5\n",
        ["3: model: must be '@provider/name' in quotes, a mapping with base_url and name, or a list of such"],
    ),
    "an endpoint with faults": (
        f"id: {ID}\nname: a\nmodel:\n  base_url: localhost:8000\n  nam: x\n",
        [
            "4: model.base_url: must start with http:// or https://, not 'localhost:8000'",
            "5: model.nam: unknown field; did you mean 'name'?",
        ],
    ),
    "a variable's value for its name": (
        f"id: {ID}\nname: a\nmodel:\n  base_url: http://x/v1\n  name: x\n  api_key_env: my key\n",
        [
            "6: model.api_key_env: must be the name of an environment variable, such as OPENAI_API_KEY, "
            "never the key itself"
        ],
    ),
    "a command as one text": (
        f"id: {ID}\nname: a\nmodel: {{base_url: 'http://x/v1', name: x, api_key_command: pass show x}}\n",
        ["3: model.api_key_command: must be a list, not the text 'pass show x'; write [pass, show, x]"],
    ),
    "a price of its own kind": (
        HEAD + "pricing: {input: free, output: 2}\n",
        ["4: pricing.input: must be a number, not the text 'free'"],
    ),
    "a custom tag": (
        HEAD + "description: !!python/object:os.system x\n",
        ["4: description: the tag !!python/object:os.system is not allowed here; remove it"],
    ),
    "two kinds of instructions": (
        HEAD + "instructions: a\ninstructions_file: b.md\nparameters: {top_p: 2}\n",
        [
            "5: instructions_file: cannot stand beside instructions (line 4); keep one of the two",
            "5: instructions_file: no such file: 'b.md'",
            "6: parameters.top_p: must be between 0 and 1, not 2",
        ],
    ),
    "instructions outside": (
        HEAD + "instructions_file: ../../secret.md\n",
        [
            "4: instructions_file: '../../secret.md' is outside of the workspace; keep it in there, "
            "relative to this file"
        ],
    ),
    "absolute instructions": (
        HEAD + "instructions_file: /etc/hostname\n",
        [
            "4: instructions_file: '/etc/hostname' is outside of the workspace; keep it in there, "
            "relative to this file"
        ],
    ),
    "instructions of an endless name": (
        HEAD + f"instructions_file: {'x' * 5000}\n",
        ["4: instructions_file: must be the name of a text file"],
    ),
    "instructions in a folder": (
        HEAD + "instructions_file: ../gateways\n",
        ["4: instructions_file: '../gateways' is not a file"],
    ),
    "a key beside the model": (
        HEAD + f"api_key: {KEY}\n",
        [f"4: api_key: {LITERAL}"],
    ),
    "a short key, known by its field": (
        f"id: {ID}\nname: a\nmodel: {{base_url: 'http://x/v1', name: x, api_key: hunter2}}\n",
        [f"3: model.api_key: {LITERAL}"],
    ),
    "a key in the variable's place": (
        f"id: {ID}\nname: a\nmodel: {{base_url: 'http://x/v1', name: x, api_key_env: {KEY}}}\n",
        [f"3: model.api_key_env: {LITERAL}"],
    ),
    "a key in a command": (
        f"id: {ID}\nname: a\nmodel:\n  base_url: http://x/v1\n  name: x\n  api_key_command: [echo, {KEY}]\n",
        [f"6: model.api_key_command[1]: {LITERAL}"],
    ),
    "a key in the address": (
        f"id: {ID}\nname: a\nmodel: {{base_url: 'https://me:hunter2@x/v1', name: x}}\n",
        [f"3: model.base_url: {LITERAL}"],
    ),
    "a key in a header": (
        HEAD + f"parameters:\n  extra_body:\n    headers:\n      Authorization: Bearer {KEY}\n",
        [f"7: parameters.extra_body.headers.Authorization: {LITERAL}"],
    ),
    "a key in the instructions": (
        HEAD + f"instructions: |\n  Use the key\n  {KEY}.\n",
        [f"4: instructions: {LITERAL}"],
    ),
    "a variable that YAML would not fill in": (
        HEAD + "api_key: ${OPENAI_API_KEY}\n",
        [
            "4: api_key: keys are never read from YAML, and variables are filled into addresses alone; "
            "write api_key_env: OPENAI_API_KEY"
        ],
    ),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG.keys())
def test_every_fault_of_a_gateway_is_told(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert faults(tmp_path, text) == expected


GOOD = {
    "the least": HEAD,
    "a byte order mark": "\ufeff" + HEAD,
    "Windows line ends": HEAD.replace("\n", "\r\n"),
    "a date as name": HEAD.replace("name: support", "name: 2026-01-31"),
    "sections left empty": HEAD
    + "parameters:\n  # temperature: 0\nknowledge:\nrewrite:\nexamples:\ndescription:\n",
    "another spelling of a strategy": HEAD + "knowledge: {collections: [kb], strategy: QUERY_function}\n",
    "anchors": HEAD + "rewrite:\n  models:\n    - &small '@openai/gpt-5-nano'\n    - *small\n",
    "a name with slashes": HEAD.replace("@openai/gpt-5-mini", "@openrouter/meta/llama:free"),
    "a body with nulls": HEAD + "parameters:\n  extra_body: {think: null, depth: [1, {a: b}]}\n",
    "words about keys": HEAD + "instructions: Keys begin with sk-… and Bearer tokens expire.\n",
    "a name of two letters": HEAD + "knowledge: {collections: [kb, Documentação]}\n",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_a_sound_gateway_has_no_fault(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text) == []


@pytest.mark.parametrize("text", [case[0] for case in WRONG.values()], ids=WRONG.keys())
def test_no_fault_repeats_a_key_or_speaks_the_validators_language(tmp_path: Path, text: str) -> None:
    told = "\n".join(faults(tmp_path, text))
    assert KEY not in told
    assert "hunter2" not in told
    assert not re.search(r"Input should|pydantic|https://errors|type=|<text>|<mapping>", told)


def test_a_key_in_a_broken_line_is_not_repeated(tmp_path: Path) -> None:
    told = faults(tmp_path, f"name: a\napi_key: @{KEY}\n")
    assert told == ["2: a value cannot start with '@' unless it is in quotes: write \"@***\""]


def test_a_missing_instructions_file_suggests_the_one_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "gateways").mkdir()
    (tmp_path / "gateways" / "support.md").write_text("Be kind.")
    told = faults(tmp_path, HEAD + "instructions_file: suport.md\n")
    assert told == ["4: instructions_file: no such file: 'suport.md'; did you mean 'support.md'?"]


def test_a_link_that_leads_out_of_the_workspace_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("secret")
    root = tmp_path / "workspace"
    (root / "gateways").mkdir(parents=True)
    (root / "gateways" / "in.md").symlink_to(outside)
    [told] = faults(root, HEAD + "instructions_file: in.md\n")
    assert told.startswith("4: instructions_file: 'in.md' is outside of the workspace")


def test_instructions_that_are_no_utf_8_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "gateways").mkdir()
    (tmp_path / "gateways" / "in.md").write_bytes(b"ol\xe1")
    told = faults(tmp_path, HEAD + "instructions_file: in.md\n")
    assert told == ["4: instructions_file: 'in.md' is not UTF-8 (byte 0xE1); save it as UTF-8"]


def test_two_gateways_of_one_name_and_id_are_faults_of_both(tmp_path: Path) -> None:
    (tmp_path / "gateways").mkdir()
    (tmp_path / "gateways" / "a.yaml").write_text(HEAD)
    (tmp_path / "gateways" / "b.yaml").write_text("# a copy\n" + HEAD)
    assert [str(fault) for fault in Workspace(tmp_path).validate_all()] == [
        f"gateways/a.yaml:1: id: '{ID}' is also the id of gateways/b.yaml; every gateway has its own",
        "gateways/a.yaml:2: name: 'support' is also the name of gateways/b.yaml; every gateway has its own",
        f"gateways/b.yaml:2: id: '{ID}' is also the id of gateways/a.yaml; every gateway has its own",
        "gateways/b.yaml:3: name: 'support' is also the name of gateways/a.yaml; every gateway has its own",
    ]


def test_a_folder_is_checked_in_one_go(tmp_path: Path) -> None:
    for folder in ("gateways", "collections"):
        (tmp_path / folder).mkdir()
    (tmp_path / "aivax.yaml").write_text("providers:\n  acme:\n    api_key_env: ACME_KEY\n")
    (tmp_path / "gateways" / "a.yaml").write_text("name: [")
    (tmp_path / "gateways" / "b.yml").write_text(HEAD + "zzz: 1\n")
    (tmp_path / "gateways" / ".hidden.yaml").write_text("not a gateway")
    (tmp_path / "collections" / "kb.yaml").write_text("chunk_tokens: 5\n")
    assert [(fault.file, fault.line, fault.field) for fault in Workspace(tmp_path).validate_all()] == [
        ("aivax.yaml", 2, "providers.acme"),
        ("gateways/a.yaml", 1, ""),
        ("gateways/b.yml", 4, "zzz"),
        ("collections/kb.yaml", 1, "chunk_tokens"),
    ]


def test_while_aivax_yaml_is_broken_no_provider_is_called_unknown(tmp_path: Path) -> None:
    (tmp_path / "aivax.yaml").write_text("providers: [\n")
    found = Workspace(tmp_path)
    (tmp_path / "gateways").mkdir()
    (tmp_path / "gateways" / "a.yaml").write_text(HEAD.replace("@openai", "@acme"))
    assert {fault.file for fault in found.validate_all()} == {"aivax.yaml"}


def test_five_hundred_files_are_checked_quickly(tmp_path: Path) -> None:
    (tmp_path / "gateways").mkdir()
    for number in range(500):
        text = HEAD.replace("50c3", f"{number:04x}").replace("name: support", f"name: g{number}")
        (tmp_path / "gateways" / f"g{number}.yaml").write_text(text + "knowledge: {collections: [kb]}\n")
    begin = time.process_time()
    assert Workspace(tmp_path).validate_all() == []
    # Measured at 0.5 s; the bound is for slower machines and catches what is not linear.
    assert time.process_time() - begin < 5
