"""`${NAME}` in a definition."""

import pytest

from aivax_cli.gateway.variables import filled
from aivax_cli.gateway.yamltree import read_tree

ENVIRON = {"HOST": "gpu.example", "EMPTY": ""}


def address(text: str) -> tuple[object, list[str]]:
    tree = read_tree(f'model:\n  name: m\n  base_url: "{text}"\n')
    value, _, troubles = filled(tree, "gateway", ENVIRON)
    assert isinstance(value, dict)
    model = value["model"]
    assert isinstance(model, dict)
    return model["base_url"], [f"{trouble.line}: {trouble.problem}" for trouble in troubles]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("https://${HOST}/v1", "https://gpu.example/v1"),
        ("https://${HOST}:${PORT:-8000}/v1", "https://gpu.example:8000/v1"),
        ("${BASE:-http://localhost:11434/v1}", "http://localhost:11434/v1"),
        ("https://${EMPTY:-other.example}", "https://other.example"),
        ("https://$HOST/$1", "https://$HOST/$1"),
    ],
)
def test_variables_are_filled_into_addresses(text: str, value: str) -> None:
    assert address(text) == (value, [])


def test_a_variable_that_is_not_set_is_a_fault_with_its_line() -> None:
    _, troubles = address("https://${NOWHERE}/v1")
    assert troubles == [
        "3: the environment variable NOWHERE is not set; set it, or write ${NOWHERE:-default}"
    ]


def test_an_empty_variable_counts_as_unset() -> None:
    assert "EMPTY is not set" in address("https://${EMPTY}/v1")[1][0]


@pytest.mark.parametrize("text", ["https://${HOST/v1", "https://${}/v1", "https://${a b}", "https://${A:+b}"])
def test_a_variable_written_wrong_is_a_fault(text: str) -> None:
    assert address(text)[1] == ["3: a variable is written ${NAME} or ${NAME:-default}"]


def test_what_is_no_address_stays_as_it_is() -> None:
    tree = read_tree("instructions: from ${HOST}\nprefill: ${HOST}\nmodel: {name: '${HOST}'}\n")
    value, written, troubles = filled(tree, "gateway", ENVIRON)
    assert (value, written, troubles) == (tree.value, {}, [])


def test_the_tree_keeps_what_is_written() -> None:
    tree = read_tree("remote_instructions:\n  - url: https://${HOST}/a\n")
    value, written, _ = filled(tree, "gateway", ENVIRON)
    assert value == {"remote_instructions": [{"url": "https://gpu.example/a"}]}
    assert tree.at(("remote_instructions", 0, "url")) == "https://${HOST}/a"
    assert written == {("remote_instructions", 0, "url"): "https://${HOST}/a"}
