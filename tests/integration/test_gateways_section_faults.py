"""What is said of routing, context, budgets, tools, remote instructions, schemas and prices gone wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.gateway_files import HEAD, faults

from aivax_cli.gateway.workspace import Workspace

WITHOUT_MODEL = "".join(line for line in HEAD.splitlines(keepends=True) if not line.startswith("model"))

# What follows the head of a gateway, and what is said of it.
WRONG = [
    (
        "routing: quick",
        [
            (
                "4: routing: must be a mapping, not the text 'quick'; write its fields below it, "
                "indented, one 'field: value' a line"
            ),
        ],
    ),
    (
        'routing: {low: "@openai/a"}',
        [
            "4: routing.router: required, but missing",
        ],
    ),
    (
        'routing: {router: "@openai/a"}',
        [
            "4: routing: needs a model for at least one of low, medium, high",
        ],
    ),
    (
        'routing: {router: "@opnai/a", low: "@openai/b"}',
        [
            "4: routing.router: no provider named 'opnai'; did you mean 'openai'?",
        ],
    ),
    (
        'routing: {router: "@openai/a", mid: "@openai/b"}',
        [
            "4: routing.mid: unknown field; known here: router, low, medium, high, timeout_s",
        ],
    ),
    (
        'routing: {router: "@openai/a", low: 5, timeout_s: 0}',
        [
            ("4: routing.low: must be '@provider/name' in quotes, or a mapping with base_url and name"),
            "4: routing.timeout_s: must be greater than 0, not 0",
        ],
    ),
    (
        "context: {max_tokens: 0, overflow: cut, tool_result: 2}",
        [
            "4: context.max_tokens: must be 1 or more, not 0",
            "4: context.overflow: must be one of truncate, error, not 'cut'",
            "4: context.tool_result: unknown field; did you mean 'tool_results'?",
        ],
    ),
    (
        "context: 5000",
        [
            (
                "4: context: must be a mapping, not the number 5000; write its fields below it, "
                "indented, one 'field: value' a line"
            ),
        ],
    ),
    (
        'context: {max_tokens: "8k"}',
        [
            "4: context.max_tokens: must be a whole number, not the text '8k'",
        ],
    ),
    (
        'budget: {usd_per_day: "1"}',
        [
            "4: budget.usd_per_day: must be a number, not the text '1'; remove the quotes",
        ],
    ),
    (
        "budget: {usd_per_month: 3}",
        [
            "4: budget.usd_per_month: unknown field; did you mean 'usd_per_day'?",
        ],
    ),
    (
        "budget: {usd_per_day: -1}",
        [
            "4: budget.usd_per_day: must be 0 or more, not -1",
        ],
    ),
    (
        "budget: 3",
        [
            (
                "4: budget: must be a mapping, not the number 3; write its fields below it, "
                "indented, one 'field: value' a line"
            ),
        ],
    ),
    (
        "tools: search",
        [
            "4: tools: must be a list, not the text 'search'",
        ],
    ),
    (
        "tools: [search]",
        [
            "4: tools[0]: must be a mapping with mcp, or with name, description and url",
        ],
    ),
    (
        'tools: [{mcp: ""}]',
        [
            (
                "4: tools[0].mcp: must be an address with http:// or https://, or a command as a "
                "list of words, not ''"
            ),
        ],
    ),
    (
        "tools: [{mcp: 5}]",
        [
            "4: tools[0].mcp: must be an address, or a command as a list of words",
        ],
    ),
    (
        'tools: [{mcp: "npx server"}]',
        [
            (
                "4: tools[0].mcp: must be an address with http:// or https://, or a command as a "
                "list of words, not 'npx server'"
            ),
        ],
    ),
    (
        "tools: [{mcp: [npx, 5]}]",
        [
            '4: tools[0].mcp[1]: must be text, not the number 5; put it in quotes: "5"',
        ],
    ),
    (
        'tools: [{name: "get weather", description: x, url: "http://localhost"}]',
        [
            (
                "4: tools[0].name: must be letters, digits, '_' and '-', at most 64, the first "
                "no digit, not 'get weather'"
            ),
        ],
    ),
    (
        'tools: [{name: get_weather, url: "http://localhost"}]',
        [
            "4: tools[0].description: required, but missing",
        ],
    ),
    (
        "tools: [{name: w, description: x, url: localhost, timeout: 5}]",
        [
            "4: tools[0].url: must start with http:// or https://, not 'localhost'",
            "4: tools[0].timeout: unknown field; did you mean 'timeout_s'?",
        ],
    ),
    (
        'tools: [{name: w, description: x, url: "https://x.example", schema: text}]',
        [
            (
                "4: tools[0].schema: must be a mapping, not the text 'text'; write its fields "
                "below it, indented, one 'field: value' a line"
            ),
        ],
    ),
    (
        'tools: [{mcp: "http://localhost:1/mcp", timeout_s: 0, confirm: "yes", max_result_chars: 5}]',
        [
            "4: tools[0].timeout_s: must be more than 0 and at most 3600, not 0",
            "4: tools[0].max_result_chars: must be 100 or more, not 5",
            "4: tools[0].confirm: must be true or false, not the text 'yes'",
        ],
    ),
    (
        'tools: [{mcp: "http://localhost:1/mcp", onyl: [a]}]',
        [
            "4: tools[0].onyl: unknown field; did you mean 'only'?",
        ],
    ),
    (
        'tools: [{mcp: "http://localhost:1/mcp", env: [A-B], api_key_env: "sk-abcdefghijklmnop1234"}]',
        [
            (
                "4: tools[0].api_key_env: a literal key must not stand in a file that is kept "
                "and shared; put it in an environment variable and name that in api_key_env, or "
                "a command in api_key_command"
            ),
            (
                "4: tools[0].env[0]: must be the name of an environment variable, such as "
                "OPENAI_API_KEY, never the key itself, not 'A-B'"
            ),
        ],
    ),
    (
        'remote_instructions: "https://x.example/a.txt"',
        [
            "4: remote_instructions: must be a list, not the text 'https://x.example/a.txt'",
        ],
    ),
    (
        'remote_instructions: ["https://x.example/a.txt"]',
        [
            (
                "4: remote_instructions[0]: must be a mapping, not the text "
                "'https://x.example/a.txt'; write its fields below it, indented, one 'field: "
                "value' a line"
            ),
        ],
    ),
    (
        'remote_instructions: [{url: "http://x.example/a.txt", cache: 5}]',
        [
            (
                "4: remote_instructions[0].url: must start with https://; http:// is for "
                "addresses on this machine alone"
            ),
            "4: remote_instructions[0].cache: unknown field; did you mean 'cache_s'?",
        ],
    ),
    (
        'remote_instructions: [{url: "https://x.example/a.txt", cache_s: -1, timeout_s: 0}]',
        [
            "4: remote_instructions[0].cache_s: must be 0 or more, not -1",
            "4: remote_instructions[0].timeout_s: must be greater than 0, not 0",
        ],
    ),
    (
        "remote_instructions: [{cache_s: 5}]",
        [
            "4: remote_instructions[0].url: required, but missing",
        ],
    ),
    (
        "response_schema: 5",
        [
            ("4: response_schema: must be a JSON Schema, the name of a file with one, or a short form"),
        ],
    ),
    (
        "response_schema: [name]",
        [
            ("4: response_schema: must be a JSON Schema, the name of a file with one, or a short form"),
        ],
    ),
    (
        'response_schema: ""',
        [
            "4: response_schema: must not be empty",
        ],
    ),
    (
        "max_attempts: 11",
        [
            "4: max_attempts: must be between 1 and 10, not 11",
        ],
    ),
    (
        "max_tool_rounds: 0",
        [
            "4: max_tool_rounds: must be between 1 and 64, not 0",
        ],
    ),
    (
        "locked: model",
        [
            "4: locked: must be a list, not the text 'model'; write [model]",
        ],
    ),
    (
        "locked: [modle, temperature, id, parameters, parameters.extra_body.top_k, 5]",
        [
            '4: locked[5]: must be text, not the number 5; put it in quotes: "5"',
            "4: locked[0]: no field is called 'modle'; did you mean 'model'?",
            ("4: locked[1]: no field is called 'temperature'; did you mean 'parameters.temperature'?"),
            "4: locked[2]: id can never be overridden and needs no lock",
        ],
    ),
    (
        "extends: 5",
        [
            '4: extends: must be text, not the number 5; put it in quotes: "5"',
        ],
    ),
    (
        "extends: nobody",
        [
            "4: extends: no gateway 'nobody' in this folder",
        ],
    ),
    (
        "pricing: {input: 1}",
        [
            "4: pricing.output: required, but missing",
        ],
    ),
    (
        "pricing: 5",
        [
            (
                "4: pricing: must be a mapping, not the number 5; write its fields below it, "
                "indented, one 'field: value' a line"
            ),
        ],
    ),
    (
        "model: []",
        [
            "3: model: must not be empty",
        ],
    ),
    (
        'model: ["@openai/a", "@opnai/b"]',
        [
            "3: model[1]: no provider named 'opnai'; did you mean 'openai'?",
        ],
    ),
    (
        'model: ["@openai/a", {base_url: "http://x"}]',
        [
            "3: model[1].name: required, but missing",
        ],
    ),
    (
        'rewrite: {models: "@openai/a"}',
        [
            "4: rewrite.models: must be a list, not the text '@openai/a'; write [\"@openai/a\"]",
        ],
    ),
    (
        "rewrite: {price_margin: 20}",
        [
            "4: rewrite.price_margin: must be between 0 and 10, not 20",
        ],
    ),
    (
        'prefill: "{"',
        [
            (
                "4: prefill: @openai/gpt-5-mini does not continue a message of the assistant: it "
                "would begin its answer anew"
            ),
        ],
    ),
    (
        "prefill: 5",
        [
            '4: prefill: must be text, not the number 5; put it in quotes: "5"',
        ],
    ),
    (
        "knowledge: {collections: [kb], filter: {tags: []}}",
        [
            "4: knowledge.filter.tags: must not be empty",
        ],
    ),
    (
        'model: {base_url: "${NOWHERE_X}/v1", name: m}',
        [
            (
                "3: model.base_url: the environment variable NOWHERE_X is not set; set it, or "
                "write ${NOWHERE_X:-default}"
            ),
        ],
    ),
    (
        'model: {base_url: "${NOWHERE", name: m}',
        [
            "3: model.base_url: a variable is written ${NAME} or ${NAME:-default}",
        ],
    ),
    (
        'model: "${MODEL}"',
        [
            (
                "3: model: no variable is filled in here, but in addresses alone; write a "
                "mapping with base_url and name"
            ),
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), WRONG, ids=[text for text, _ in WRONG])
def test_every_fault_is_one_line_with_its_field_and_what_to_write(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    head = WITHOUT_MODEL if text.startswith("model:") else HEAD
    assert faults(tmp_path, f"{head}{text}\n") == expected


def test_text_that_is_no_address_may_hold_dollars(tmp_path: Path) -> None:
    assert faults(tmp_path, HEAD + 'instructions: "costs ${X}"\n') == []


def test_the_prices_of_a_workspace_name_their_models(tmp_path: Path) -> None:
    (tmp_path / "aivax.yaml").write_text(
        'prices:\n  "@openai/a": {input: 1}\n  "@opnai/b": {input: 1, output: 2}\n'
    )
    told = [str(fault) for fault in Workspace(tmp_path).validate_all()]
    assert told == ["aivax.yaml:2: prices.@openai/a.output: required, but missing"]
    (tmp_path / "aivax.yaml").write_text(
        'prices:\n  gpt-5: {input: 1, output: 2}\n  "@opnai/b": {input: 1, output: 2}\n'
    )
    told = [str(fault) for fault in Workspace(tmp_path).validate_all()]
    assert told == [
        'aivax.yaml:2: prices: \'gpt-5\' names no provider; write "@provider/name", like "@openai/gpt-5"',
        "aivax.yaml:3: prices: no provider named 'opnai'; did you mean 'openai'?",
    ]
