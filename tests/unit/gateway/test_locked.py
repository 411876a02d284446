"""`locked`: what nobody overrides, and what a request over the network never does."""

import pytest

from aivax_cli.core.errors import UsageError
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.overrides import refuse_locked, with_settings
from aivax_cli.gateway.request_overrides import request_fields, request_tools, with_fields
from aivax_cli.gateway.settable import NOT_FROM_REQUESTS, fields, lock_problem, sections


def gateway(*locked: str) -> Gateway:
    return Gateway.model_validate(
        {
            "id": "0198683a-2b6d-7066-9598-6ea119c219f2",
            "name": "g",
            "model": "@openai/gpt-5-mini",
            "knowledge": {"collections": ["kb"]},
            "locked": list(locked),
        }
    )


def test_a_locked_field_says_where_it_is_locked() -> None:
    with pytest.raises(UsageError) as caught:
        with_settings(gateway("parameters.temperature"), ["temperature=1"], locked_at="gateways/g.yaml:7")
    assert str(caught.value).startswith("parameters.temperature is locked by gateways/g.yaml:7; ")


@pytest.mark.parametrize(
    ("lock", "assignment"),
    [
        ("model", "model=@openai/x"),
        ("parameters", "seed=1"),
        ("parameters", "parameters.extra_body.top_k=1"),
        ("parameters.temperature", "parameters={temperature: 1}"),
        ("parameters.temperature", "parameters.extra_body.temperature=1"),
        ("parameters.temperature", "parameters.extra_body={temperature: 1}"),
        ("parameters.temperature", "parameters={extra_body: {temperature: 1}}"),
        ("parameters.max_completion_tokens", "parameters.extra_body.max_tokens=9"),
        ("model", "parameters.extra_body.model=other"),
        ("parameters.extra_body.top_k", "parameters.extra_body={top_k: 3}"),
        ("knowledge", "strategy=Plain"),
        ("knowledge.filter", "knowledge.filter.match=all"),
        ("instructions_file", "instructions=Anything."),
        ("budget", "usd_per_day=100"),
        ("parameters.temperature", "temperature="),
    ],
)
def test_no_way_leads_around_a_lock(lock: str, assignment: str) -> None:
    with pytest.raises(UsageError, match="is locked"):
        with_settings(gateway(lock), [assignment])


def test_what_is_not_locked_can_be_set() -> None:
    changed = with_settings(gateway("parameters.temperature", "model"), ["seed=3", "top=2"])
    assert changed.parameters.seed == 3


def test_the_lock_itself_cannot_be_taken_off() -> None:
    with pytest.raises(Exception, match="locked cannot be overridden"):
        with_settings(gateway("model"), ["locked=[]"])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("temperature", "did you mean 'parameters.temperature'?"),
        ("knowlege", "did you mean 'knowledge'?"),
        ("parameters.temprature", "did you mean 'parameters.temperature'?"),
        ("locked", "needs no lock"),
        ("zzzzzz", "no field is called 'zzzzzz'"),
    ],
)
def test_a_lock_on_nothing_is_a_fault(name: str, problem: str) -> None:
    assert problem in (lock_problem(name) or "")


def test_every_field_and_section_can_be_locked() -> None:
    fixed = {"id", "name", "extends", "locked"}
    assert [name for name in (*fields(), *sections()) if name not in fixed and lock_problem(name)] == []


def test_a_request_changes_what_is_left_to_it() -> None:
    body = {"temperature": 0.1, "max_tokens": 5, "stop": ["a"], "seed": None, "model": "g", "messages": []}
    changed = with_fields(gateway(), request_fields(body))
    assert changed.parameters.model_dump(exclude_none=True, exclude={"extra_body"}) == {
        "temperature": 0.1,
        "max_completion_tokens": 5,
        "stop": ["a"],
    }


@pytest.mark.parametrize("name", sorted(NOT_FROM_REQUESTS))
def test_a_request_never_chooses_what_costs_or_who_is_called(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be changed by a request"):
        with_fields(gateway(), {name: None})


def test_a_request_does_not_reach_them_through_their_section() -> None:
    with pytest.raises(UsageError, match="cannot be changed by a request"):
        with_fields(gateway(), {"parameters": {"extra_body": {"model": "other"}}})


def test_a_request_respects_locks() -> None:
    with pytest.raises(UsageError, match=r"parameters\.seed is locked"):
        with_fields(gateway("parameters.seed"), request_fields({"seed": 1}))


def test_a_value_that_a_field_refuses_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"^parameters.temperature: must be between 0 and 2, not 9$"):
        with_fields(gateway(), {"parameters.temperature": 9})


@pytest.mark.parametrize(
    ("response_format", "schema"),
    [
        ({"type": "json_object"}, {"type": "object"}),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "array"}}},
            {"type": "array"},
        ),
        ({"type": "text"}, None),
    ],
)
def test_a_response_format_is_a_response_schema(response_format: object, schema: object) -> None:
    assert request_fields({"response_format": response_format}) == {"response_schema": schema}


def test_an_unknown_response_format_is_refused() -> None:
    with pytest.raises(UsageError, match="response_format must be of type"):
        request_fields({"response_format": {"type": "grammar"}})


def test_a_request_names_no_file_of_the_server() -> None:
    with pytest.raises(UsageError, match="written out in the request"):
        with_fields(gateway(), {"response_schema": "../secret.json"})


def test_a_lock_on_tools_holds_for_the_tools_of_a_request() -> None:
    with pytest.raises(UsageError, match=r"tools is locked by g\.yaml:3"):
        refuse_locked(gateway("tools"), "tools", locked_at="g.yaml:3")


def test_the_functions_of_a_request_are_read() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    function = {"name": "weather", "description": "Of a city.", "parameters": schema}
    body = {"tools": [{"type": "function", "function": function}, {"function": {"name": "now"}}]}
    first, second = request_tools(gateway(), body)
    assert (first.name, first.description, first.schema) == ("weather", "Of a city.", schema)
    assert (second.name, second.schema) == ("now", {"type": "object", "properties": {}})


@pytest.mark.parametrize(
    "tools", ["x", [5], [{}], [{"function": {"name": "a b"}}], [{"function": {"name": "a", "parameters": 5}}]]
)
def test_functions_written_wrong_are_refused(tools: object) -> None:
    with pytest.raises(UsageError, match=r"^tools\[0\] must"):
        request_tools(gateway(), {"tools": tools})


def test_functions_of_a_request_respect_locks() -> None:
    with pytest.raises(UsageError, match="tools is locked"):
        request_tools(gateway("tools"), {"tools": [{"function": {"name": "a"}}]})
