"""Which fields a gateway has from its base."""

from pathlib import Path
from typing import Any

from aivax_cli.gateway.inheriting import inherited, merge
from aivax_cli.gateway.yamltree import Tree, read_tree

BASE = Path("gateways/base.yaml")


def merged(own: str, base: str) -> Tree:
    return merge(read_tree(own), read_tree(base), BASE)


def value(own: str, base: str) -> Any:
    return merged(own, base).value


def test_fields_that_are_missing_come_from_the_base() -> None:
    assert value("name: a\n", "prefill: x\nmodel: m\n") == {"name": "a", "prefill": "x", "model": "m"}


def test_what_makes_a_gateway_itself_is_never_inherited() -> None:
    assert value("name: a\n", "id: i\nname: b\nextends: c\n") == {"name": "a"}


def test_sections_are_merged_field_by_field_at_every_depth() -> None:
    base = "knowledge:\n  collections: [kb]\n  top: 3\n  filter: {tags: [a], match: all}\n"
    own = "knowledge: {top: 9, filter: {tags: [b]}}\n"
    assert value(own, base) == {
        "knowledge": {"top": 9, "filter": {"tags": ["b"], "match": "all"}, "collections": ["kb"]}
    }


def test_extra_fields_of_the_request_are_merged_too() -> None:
    own, base = "parameters: {extra_body: {a: 1}}\n", "parameters: {extra_body: {b: 2}}\n"
    assert value(own, base) == {"parameters": {"extra_body": {"a": 1, "b": 2}}}


def test_lists_are_replaced() -> None:
    assert value("locked: [model]\n", "locked: [tools, budget]\n") == {"locked": ["model"]}


def test_a_model_is_taken_whole_so_that_no_key_goes_to_another_address() -> None:
    base = "model: {base_url: https://a, name: m, api_key_env: KEY}\n"
    assert value("model: {base_url: https://b, name: m}\n", base)["model"] == {
        "base_url": "https://b",
        "name": "m",
    }


def test_a_json_schema_is_taken_whole() -> None:
    assert value("response_schema: {type: array}\n", "response_schema: {items: {}}\n") == {
        "response_schema": {"type": "array"}
    }


def test_a_price_goes_with_its_model() -> None:
    assert value('model: "@b/m"\n', 'model: "@a/m"\npricing: {input: 1, output: 2}\n') == {"model": "@b/m"}


def test_own_instructions_stand_for_the_file_of_the_base() -> None:
    assert value("instructions: x\n", "instructions_file: y.md\n") == {"instructions": "x"}


def test_an_empty_field_is_as_if_it_were_not_there() -> None:
    assert value("parameters:\n", "parameters: {seed: 1}\n") == {"parameters": {"seed": 1}}


def test_every_value_knows_its_file_and_line() -> None:
    tree = merged("name: a\nparameters:\n  seed: 1\n", "\n\nparameters:\n  top_p: 0.5\n")
    assert (tree.file(("parameters", "top_p")), tree.line(("parameters", "top_p"))) == (BASE, 4)
    assert (tree.file(("parameters", "seed")), tree.line(("parameters", "seed"))) == (None, 3)
    assert list(inherited(tree)) == [("parameters", "top_p")]
