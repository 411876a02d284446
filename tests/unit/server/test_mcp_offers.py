"""Gateways and collections as tools: their names, and what they take."""

import pytest

from aivax_cli.server.faults import RequestError
from aivax_cli.server.mcp_tools import given_terms, input_schema, offered_tools


def names(gateways, collections):
    return [tool.name for tool in offered_tools([(name, "") for name in gateways], collections)]


def test_names_are_ones_that_every_client_takes():
    assert names(["my.gateway", "9 lives"], ["Notas de aula"]) == [
        "invoke_my_gateway",
        "invoke__9_lives",
        "Notas_de_aula_search",
    ]


def test_names_that_would_be_the_same_are_told_apart():
    assert names(["a.b", "a b", "a_b"], []) == ["invoke_a_b", "invoke_a_b_2", "invoke_a_b_3"]


def test_long_names_keep_what_says_their_kind():
    found = names(["g" * 64, "g" * 63 + "h"], ["c" * 200])
    assert max(map(len, found)) == 64
    assert len(set(found)) == 3
    assert found[2].endswith("_search")


def test_a_gateways_description_is_its_tools():
    assert offered_tools([("a", "Knows numbers.")], [])[0].description == "Knows numbers."


def test_a_search_takes_ten_terms_at_most():
    (tool,) = offered_tools([], ["kb"])
    terms = input_schema(tool)["properties"]["search_terms"]
    assert (terms["minItems"], terms["maxItems"]) == (1, 10)


def test_search_terms_at_the_limits_are_taken():
    assert given_terms({"search_terms": ["x" * 50] * 10}) == ["x" * 50] * 10


@pytest.mark.parametrize("terms", [["x"] * 11, ["x" * 501], [], ["", " "], "x", [1], None])
def test_search_terms_beyond_the_limits_are_refused(terms):
    with pytest.raises(RequestError):
        given_terms({"search_terms": terms})
