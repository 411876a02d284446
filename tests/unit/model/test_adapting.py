"""Which parameters an endpoint refuses, by what it says."""

import json

import pytest

from aivax_cli.core.types import Message, ModelCall, ModelTarget, Purpose
from aivax_cli.model.adapting import adaptations, simpler
from aivax_cli.model.wire import OPENAI, Dialect, request_body

TARGET = ModelTarget(label="@test/m", provider="test", name="m", base_url="http://127.0.0.1/v1")
PARAMETERS = {"temperature": 0.2, "presence_penalty": 0.5, "seed": 7, "stop": "X", "verbosity": None}
CALL = ModelCall(Purpose.ANSWER, TARGET, (Message("user", "hello"),), PARAMETERS)


def error(message: str, **more: object) -> str:
    return json.dumps({"error": {"message": message, **more}})


def refused(body: str, status: int = 400, dialect: Dialect = OPENAI) -> set[str] | None:
    other = simpler(dialect, CALL, status, body)
    return None if other is None else set(other.without - dialect.without)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (
            error(
                "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) "
                "value is supported.",
                param="temperature",
                code="unsupported_value",
            ),
            {"temperature"},
        ),
        (error("Unsupported parameter: 'stop' is not supported with this model."), {"stop"}),
        (error("Unrecognized request arguments supplied: seed, stop"), {"seed", "stop"}),
        (error("property 'seed' is unsupported"), {"seed"}),
        (error('Invalid JSON payload. Unknown name "presence_penalty": no field.'), {"presence_penalty"}),
        (error("Argument not supported on this model: presencePenalty"), {"presence_penalty"}),
        (error("`temperature` is deprecated for this model."), {"temperature"}),
        (
            json.dumps({"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}),
            {"seed"},
        ),
        ("unsupported parameter: seed", {"seed"}),
    ],
)
def test_the_parameters_that_an_endpoint_names_are_left_out(body: str, names: set[str]) -> None:
    assert refused(body) == names
    assert refused(body, 422) == names


@pytest.mark.parametrize(
    "body",
    [
        error("temperature: Input should be less than or equal to 1"),
        error("Unsupported value: 'top_p' does not support 1.", param="top_p", code="unsupported_value"),
        error("Unsupported value: 'seed'. Supported values are: 1", param="seed", code="unsupported_value"),
        error("This model does not support image input."),
        error("maximum context length exceeded"),
        error("verbosity is not supported"),
        "",
        "<html>",
    ],
)
def test_other_complaints_are_no_reason_to_leave_anything_out(body: str) -> None:
    assert refused(body) is None


def test_only_a_refused_request_is_put_in_simpler_words() -> None:
    assert refused(error("Unsupported parameter: 'seed'"), 500) is None


def test_what_is_left_out_already_is_not_left_out_again() -> None:
    assert (
        refused(error("Unsupported parameter: 'seed'"), dialect=Dialect(without=frozenset({"seed"}))) is None
    )


def test_the_request_goes_without_what_the_model_does_not_take() -> None:
    body = request_body(CALL, Dialect(without=frozenset({"temperature", "seed"})))
    assert "temperature" not in body
    assert "seed" not in body
    assert body["stop"] == "X"


def test_every_change_of_a_parameter_that_is_set_is_told() -> None:
    dialect = Dialect(max_completion_tokens=False, without=frozenset({"temperature", "verbosity", "top_p"}))
    call = ModelCall(Purpose.ANSWER, TARGET, (), {**PARAMETERS, "max_completion_tokens": 9})
    assert [adapted.change for adapted in adaptations(call, dialect)] == [
        "@test/m does not take temperature as it is set; sent without it",
        "@test/m does not take max_completion_tokens; sent as max_tokens",
    ]
    assert adaptations(call, OPENAI) == ()
