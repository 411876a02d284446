"""Parameters that a model does not take: left out, said so once a turn, and remembered for the next call."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import aivax
from support.in_process import aivax_here
from support.upstream import Answer, Request, Upstream, calls_tool, says, status
from support.workspaces import write_gateway

PARAMETERS = "parameters: {temperature: 0.2, seed: 7, max_completion_tokens: 50}\n"
TEMPERATURE = "m does not take temperature as it is set; sent without it"
RENAMED = "m does not take max_completion_tokens; sent as max_tokens"


def refuses(*names: str, then: Answer) -> Iterator[Upstream]:
    """An endpoint that names one parameter after the other as unsupported."""

    def answer(request: Request) -> Answer:
        for name in names:
            if name in request.body:
                return status(400, f"Unsupported parameter: '{name}' is not supported with this model.")
        return then

    with Upstream(answer) as upstream:
        yield upstream


@pytest.fixture
def picky() -> Iterator[Upstream]:
    yield from refuses("temperature", "max_completion_tokens", then=says("Paris."))


def gateway(root: Path, upstream: Upstream, more: str = "") -> None:
    write_gateway(root, "g", f"{{base_url: {upstream.url}, name: m}}", more=PARAMETERS + more)


def test_a_parameter_that_is_refused_is_left_out_and_told(tmp_path: Path, picky: Upstream) -> None:
    gateway(tmp_path, picky)
    done = aivax_here("complete", "g", "hi", cwd=tmp_path)
    assert (done.code, done.out) == (0, "Paris.\n")
    assert (done.err.count(TEMPERATURE), done.err.count(RENAMED)) == (1, 1)
    sent = picky.bodies[-1]
    assert (sent["seed"], sent["max_tokens"]) == (7, 50)
    assert not {"temperature", "max_completion_tokens"} & set(sent)
    assert len(picky.requests) == 3


def test_what_was_learnt_holds_for_the_next_turn_which_says_it_again(tmp_path: Path, picky: Upstream) -> None:
    gateway(tmp_path, picky)
    done = aivax("chat", "g", cwd=tmp_path, home=tmp_path, stdin="one\ntwo\n")
    assert len(picky.requests) == 4
    assert done.err.count(TEMPERATURE) == 2


def test_the_rounds_of_a_turn_say_it_once(tmp_path: Path, picky: Upstream) -> None:
    rounds = [calls_tool("nothing", {}), says("done")]

    def answer(request: Request) -> Answer:
        if "temperature" in request.body:
            return status(400, "Unsupported parameter: 'temperature'")
        return rounds.pop(0)

    picky.answers(answer)
    gateway(tmp_path, picky, "knowledge: {collections: [kb], strategy: QueryFunction}\n")
    done = aivax_here("complete", "g", "hi", cwd=tmp_path)
    assert done.out == "done\n"
    assert done.err.count(TEMPERATURE) == 1


def test_models_at_one_address_are_told_apart(tmp_path: Path, picky: Upstream) -> None:
    def answer(request: Request) -> Answer:
        if request.body["model"] == "m" and "temperature" in request.body:
            return status(400, "Unsupported parameter: 'temperature'")
        return says("no level")

    picky.answers(answer)
    router, medium = (f"{{base_url: {picky.url}, name: {name}}}" for name in "rm")
    gateway(tmp_path, picky, f"routing: {{router: {router}, medium: {medium}}}\n")
    aivax_here("complete", "g", "hi", cwd=tmp_path)
    assert [(body["model"], "temperature" in body) for body in picky.bodies] == [
        ("r", True),
        ("m", True),
        ("m", False),
    ]


def test_a_value_that_the_endpoint_would_take_otherwise_is_the_users_to_mend(
    tmp_path: Path, picky: Upstream
) -> None:
    picky.answers(status(400, "temperature: Input should be less than or equal to 1"))
    gateway(tmp_path, picky)
    done = aivax_here("complete", "g", "hi", cwd=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert "Input should be less than or equal to 1" in done.err
    assert len(picky.requests) == 1


def test_a_field_of_extra_body_is_never_left_out(tmp_path: Path, picky: Upstream) -> None:
    picky.answers(status(400, "Unsupported parameter: 'top_k'"))
    gateway(tmp_path, picky)
    done = aivax_here("complete", "g", "hi", "--set", "parameters.extra_body.top_k=3", cwd=tmp_path)
    assert done.code == 1
    assert "Unsupported parameter: 'top_k'" in done.err
