"""Complexity routing through the real program: who judges, who answers, what is told, what is charged."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.command_line import Done, aivax
from support.gateway_turns import turns_of
from support.in_process import aivax_here
from support.patience import PATIENT_S
from support.upstream import (
    Answer,
    Request,
    Upstream,
    chunk,
    hang_up,
    html,
    json_answer,
    reset,
    says,
    silence,
    sse,
    status,
)
from support.workspaces import write_gateway


@dataclass
class Place:
    """A gateway `g` whose router, levels and own model are one server's; a script for each model's name."""

    root: Path
    upstream: Upstream
    scripts: dict[str, Callable[[Request], Answer] | Answer]

    def model(self, name: str, more: str = "") -> str:
        return f"{{base_url: {self.upstream.url}, name: {name}{more}}}"

    def gateway(
        self, *levels: str, model: str | None = None, timeout_s: float = PATIENT_S, more: str = ""
    ) -> None:
        routing = "".join(f"  {level}: {self.model(level)}\n" for level in levels)
        write_gateway(
            self.root,
            "g",
            model or self.model("own"),
            more=f"routing:\n  router: {self.model('router')}\n  timeout_s: {timeout_s}\n{routing}{more}",
        )

    def ask(self, *arguments: str) -> Done:
        return aivax_here("complete", "g", "Why is the sky blue?", *arguments, cwd=self.root)

    def judged(self, answer: Answer) -> Done:
        self.scripts["router"] = answer
        return self.ask("--json")

    @property
    def asked(self) -> list[str]:
        return [body["model"] for body in self.upstream.bodies]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    scripts: dict[str, Callable[[Request], Answer] | Answer] = {"router": says("high")}

    def answer(request: Request) -> Answer:
        name = request.body["model"]
        script = scripts.get(name, says(f"from {name}", model=f"{name}-1"))
        return script if isinstance(script, Answer) else script(request)

    with Upstream(answer) as upstream:
        found = Place(tmp_path, upstream, scripts)
        found.gateway("low", "medium", "high")
        yield found


@pytest.mark.parametrize("level", ["low", "medium", "high"])
def test_the_model_of_the_judged_level_answers(place: Place, level: str) -> None:
    done = place.judged(says(f"**{level.title()}**."))
    answer = done.json
    assert place.asked == ["router", level]
    assert (answer["text"], answer["model"], answer["model_ref"]) == (f"from {level}", f"{level}-1", level)
    assert (answer["routed_complexity"], answer["routing_problem"]) == (level, None)
    assert f"routed as {level} to {level}" in done.err


def test_the_router_gets_one_small_question(place: Place) -> None:
    place.ask()
    question, answering = place.upstream.bodies
    assert question["messages"][-1]["content"].startswith("The message:\n\n> Why is the sky blue?\n")
    assert question["max_completion_tokens"] == 500
    assert answering["messages"] == [{"role": "user", "content": "Why is the sky blue?"}]


def test_every_message_of_a_chat_is_judged_by_itself(place: Place) -> None:
    levels = iter(["high", "low"])
    place.scripts["router"] = lambda _: says(next(levels))
    done = aivax("chat", "g", cwd=place.root, home=place.root, stdin="Prove it.\nThanks!\n")
    assert done.out == "from high\nfrom low\n"
    assert place.asked == ["router", "high", "router", "low"]
    assert "Prove it." not in place.upstream.bodies[2]["messages"][-1]["content"]


def test_routing_is_charged_under_its_own_sku(place: Place) -> None:
    charges = place.judged(says("low", prompt=20)).json["generated_usage"]
    routing = [(each["sku"], each["quantity"]) for each in charges[:2]]
    assert routing == [
        ("inference.resolving.routing_complexity.in", 20),
        ("inference.resolving.routing_complexity.out", 1),
    ]
    assert place.ask("--json").json["usage"]["total_tokens"] == 12
    listed = aivax_here("usage", "--by", "sku", cwd=place.root).out
    assert "inference.resolving.routing_complexity.in" in listed


@pytest.mark.parametrize(
    ("judgement", "problem"),
    [
        (says("Blue light scatters more."), "router returned no clear level (“Blue light scatters more.”)"),
        (says(""), "router returned no level"),
        (status(400, "bad"), "judging the message failed (127.0.0.1 refused the request (HTTP 400): bad"),
        (status(401), "wants an API key"),
        (status(404), "does not know the model 'router'"),
        (status(429, retry_after=30), "refuses more requests for now (HTTP 429)"),
        (status(429), "refuses more requests for now (HTTP 429)"),
        (status(500), "failed (HTTP 500)"),
        (reset(), "closed the connection"),
        (hang_up(), "closed the connection"),
        (html(), "web page"),
        (json_answer('{"choi'), "broken JSON"),
        (json_answer({"choices": []}), "without any choices"),
        (sse([chunk("hi"), {"error": {"message": "overloaded"}}], end=None), "judging the message broke off"),
        (sse([chunk("hi")], end=None), "judging the message broke off"),
        (sse([b"data: " + b"x" * 9_000_000 + b"\n\n"]), "more than 8 MiB"),
    ],
)
def test_without_a_clear_judgement_medium_answers_and_says_why(
    place: Place, judgement: Answer, problem: str
) -> None:
    done = place.judged(judgement)
    answer = done.json
    assert (done.code, answer["text"], answer["routed_complexity"]) == (0, "from medium", "medium")
    assert problem in answer["routing_problem"]
    assert f"routed as medium to medium: {answer['routing_problem']}" in done.err
    assert place.asked.count("router") <= 2


def test_a_router_that_is_silent_costs_no_more_than_its_time(place: Place) -> None:
    place.gateway("medium", timeout_s=0.2)
    answer = place.judged(silence()).json
    assert answer["text"] == "from medium"
    assert answer["routing_problem"] == "router took longer than 0.2 s to judge the message"
    routing = answer["generated_usage"][0]
    assert routing["sku"] == "inference.resolving.routing_complexity.in"
    assert routing["estimated"]


def test_a_level_without_a_model_is_answered_by_the_gateways_own(place: Place) -> None:
    place.gateway("high")
    assert place.judged(says("low")).json["model_ref"] == "own"
    assert place.judged(says("high")).json["model_ref"] == "high"


def test_when_a_levels_model_fails_the_gateways_own_models_are_next(place: Place) -> None:
    models = f"[{place.model('own')}, {place.model('spare')}]"
    place.gateway("high", model=models)
    place.scripts |= {"high": status(404), "own": status(404)}
    answer = place.ask("--json").json
    assert (answer["text"], answer["routed_complexity"]) == ("from spare", "high")
    assert [each["model"] for each in answer["fallbacks"]] == ["high", "own"]


def test_a_level_that_names_the_gateways_own_model_asks_it_once(place: Place) -> None:
    models = f"[{place.model('own')}, {place.model('high')}]"
    place.gateway("high", model=models, more="pricing: {input: 1, output: 2}\n")
    place.scripts["high"] = status(404)
    answer = place.ask("--json").json
    assert place.asked == ["router", "high", "own"]
    assert answer["generated_usage"][-1]["unit_price"] == 2e-6


def test_why_tells_the_level(place: Place) -> None:
    done = aivax("chat", "g", cwd=place.root, home=place.root, stdin="hi\n/why\n")
    lines = [line.strip() for line in done.err.splitlines()]
    assert "routed as high" in lines
    assert "Model  high" in lines


def test_show_lists_who_judges_and_who_answers(place: Place) -> None:
    place.gateway("low", "high")
    shown = aivax_here("gateways", "show", "g", cwd=place.root).out
    assert f"# routed by: router, {place.upstream.url}, no key\n" in shown
    assert "#   low: low, then own\n#   medium: own\n#   high: high, then own\n" in shown
    record = aivax_here("gateways", "show", "g", "--json", cwd=place.root).json["routing"]
    assert [each["model_ref"] for each in record["low"]] == ["low", "own"]


def test_doctor_looks_for_the_keys_of_routers_and_levels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GROQ_API_KEY", "OPENAI_API_KEY", "MISTRAL_API_KEY", "DEEPSEEK_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AIVAX_OFFLINE", "1")
    routing = 'routing: {router: "@groq/a", high: "@mistral/c"}\n'
    write_gateway(tmp_path, "g", '["@openai/b", "@deepseek/d"]', more=routing)
    told = aivax_here("doctor", "--json", cwd=tmp_path).out
    for name in ("GROQ_API_KEY", "OPENAI_API_KEY", "MISTRAL_API_KEY", "DEEPSEEK_API_KEY"):
        assert name in told


def test_an_unknown_provider_of_a_router_or_a_level_is_a_fault_with_its_line(tmp_path: Path) -> None:
    routing = 'routing:\n  router: "@grok/a"\n  high: "@opnai/b"\n'
    write_gateway(tmp_path, "g", '"@openai/b"', more=routing)
    told = aivax_here("gateways", "validate", cwd=tmp_path).out
    assert "gateways/g.yaml:5: routing.router: no provider named 'grok'; did you mean 'groq'?" in told
    assert "gateways/g.yaml:6: routing.high: no provider named 'opnai'; did you mean 'openai'?" in told


REWRITING = "knowledge: {collections: [kb], strategy: UserRewrite}\nrewrite: {timeout_s: 60, models: ["


def test_the_message_is_judged_while_it_is_rewritten(place: Place) -> None:
    both = threading.Barrier(2, timeout=PATIENT_S)

    def meets(text: str) -> Callable[[Request], Answer]:
        def answer(_: Request) -> Answer:
            both.wait()
            return says(text)

        return answer

    place.scripts |= {"router": meets("high"), "small": meets("colour of the sky")}
    place.gateway("high", timeout_s=PATIENT_S, more=f"{REWRITING}{place.model('small')}]}}\n")
    (result,) = turns_of(place.root, "Why is it blue?").results
    assert (result.routed, result.routing_problem) == ("high", "")
    assert result.search_terms == ("colour of the sky",)
    assert result.text == "from high"


def test_within_a_budget_one_call_follows_the_other(place: Place) -> None:
    price = ", pricing: {input: 1, output: 1}"
    priced = {name: place.model(name, price) for name in ("router", "high", "small", "own")}
    routing = f"routing: {{router: {priced['router']}, high: {priced['high']}}}\n"
    more = f"{routing}{REWRITING}{priced['small']}]}}\nbudget: {{usd_per_request: 1}}\n"
    write_gateway(place.root, "g", priced["own"], more=more)
    (result,) = turns_of(place.root, "Why is it blue?").results
    assert place.asked == ["router", "small", "high"]
    assert result.text == "from high"


def test_a_budget_that_does_not_reach_for_the_router_ends_the_turn(place: Place) -> None:
    price = ", pricing: {input: 1000000, output: 1}"
    more = f"routing: {{router: {place.model('router', price)}, low: {place.model('low', price)}}}\n"
    budget = "budget: {usd_per_request: 1}\n"
    write_gateway(place.root, "g", place.model("own", price), more=more + budget)
    done = place.ask()
    assert (done.code, done.out) == (1, "")
    assert "usd_per_request" in done.err
    assert place.upstream.requests == []
