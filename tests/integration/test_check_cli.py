"""`aivax check` through the real program: a server that answers, recordings, exit codes, reports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from support.command_line import Done, aivax
from support.embedding_server import embeddings
from support.in_process import aivax_here
from support.knowledge import write_files
from support.patience import PATIENT_S
from support.upstream import Answer, Request, Upstream, calls_tool, says, status
from support.workspaces import write_gateway

CLOSED = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(says("It is Paris.")) as server:
        yield server


def gateway(root: Path, url: str, name: str = "g", number: int = 1, more: str = "") -> None:
    write_gateway(root, name, f"{{base_url: {url}, name: m}}", number=number, more=more)


def checks(root: Path, *tests: str, head: str = "") -> Path:
    file = root / "checks" / "t.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"gateway: g\n{head}tests:\n" + "".join(f"  - {test}\n" for test in tests))
    return file


CAPITAL = "{id: capital, input: 'The capital?', expect: [{contains: Paris}]}"
WRONG = "{id: wrong, input: 'The capital?', expect: [{contains: Rome}]}"


def run(root: Path, *arguments: str) -> Done:
    return aivax_here("check", *arguments, cwd=root)


@pytest.mark.parametrize(
    ("tests", "answer", "code"),
    [
        ((CAPITAL,), says("It is Paris."), 0),
        ((CAPITAL, WRONG), says("It is Paris."), 3),
        ((CAPITAL,), status(400, "bad"), 1),
        ((CAPITAL, WRONG), status(400, "bad"), 1),
    ],
)
def test_the_exit_code_tells_failures_from_errors(
    tmp_path: Path, upstream: Upstream, tests: tuple[str, ...], answer: Answer, code: int
) -> None:
    upstream.answers(answer)
    gateway(tmp_path, upstream.url)
    checks(tmp_path, *tests)
    assert run(tmp_path).code == code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-k", "nothing"), "no test is selected"),
        (("--tag", "nothing"), "no test is selected"),
        (("missing.yaml",), "no such file"),
        (("--shard", "3/2"), "write I/N"),
        (("--record", "--replay"), "exclude each other"),
        (("--failed",), "there is no last run"),
    ],
)
def test_what_selects_nothing_or_is_wrong_has_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    gateway(tmp_path, CLOSED)
    checks(tmp_path, CAPITAL)
    done = run(tmp_path, *arguments)
    assert done.code == 2
    assert said in done.err


def test_every_fault_of_a_file_has_its_line(tmp_path: Path) -> None:
    gateway(tmp_path, CLOSED)
    checks(
        tmp_path,
        "{id: a, input: x, expect: [{contain: y}]}",
        "{id: b, input: x}",
        "{id: b, input: x, expect: [{contains: y, equals: z}]}",
        head="run: {concurency: 2}\n",
    )
    done = run(tmp_path)
    assert done.code == 2
    assert "checks/t.yaml:2: run.concurency: unknown field; did you mean 'concurrency'?" in done.err
    assert "checks/t.yaml:4: tests[0].expect[0].contain: unknown field; did you mean 'contains'?" in done.err
    assert "checks/t.yaml:5: tests[1]: checks nothing" in done.err
    assert "checks/t.yaml:6: tests[2].expect[0]: asserts several things" in done.err


def test_a_failure_points_at_the_line_of_its_assertion(tmp_path: Path, upstream: Upstream) -> None:
    gateway(tmp_path, upstream.url)
    file = checks(tmp_path, "id: a\n    input: hi\n    expect:\n      - contains: It\n      - contains: Rome")
    done = run(tmp_path, "--github")
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "Rome" in text)
    assert f"::error file=checks/t.yaml,line={line},title=a::contains: does not contain 'Rome'" in done.out


def test_github_is_told_the_file_in_the_repository_and_json_stays_json(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "sub" / "bot"
    root.mkdir(parents=True)
    summary = tmp_path / "summary.md"
    summary.write_text("earlier\n")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    gateway(root, upstream.url)
    checks(root, WRONG)
    done = run(root, "--github", "--json")
    assert done.json["counts"]["fail"] == 1
    assert "::error file=sub/bot/checks/t.yaml,line=3," in done.err
    assert "::error title=checks::t.yaml: 0 of 1 tests passed" in done.err
    assert summary.read_text().startswith("earlier\n### Checks failed")


def test_every_test_is_run_in_every_cell(tmp_path: Path, upstream: Upstream) -> None:
    gateway(tmp_path, upstream.url)
    checks(tmp_path, CAPITAL, head="matrix: {parameters.seed: [default, 7], parameters.top_p: [0.5, 1]}\n")
    done = run(tmp_path, "--json")
    assert [test["cell"] for test in done.json["tests"]] == [
        {"parameters.seed": seed, "parameters.top_p": top_p}
        for seed in ("default", "7")
        for top_p in ("0.5", "1")
    ]
    sent = {(body.get("seed"), body["top_p"]) for body in upstream.bodies}
    assert sent == {(None, 0.5), (None, 1.0), (7, 0.5), (7, 1.0)}


def test_repeats_are_counted_for_each_test(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answers(says("Paris"), says("Rome"), says("Paris"))
    gateway(tmp_path, upstream.url)
    checks(
        tmp_path,
        "{id: a, input: x, expect: [{contains: Paris}], repeat: 3, min_pass: 2}",
        head="run: {concurrency: 1}\n",
    )
    (test,) = run(tmp_path, "--json").json["tests"]
    assert (test["status"], test["passed"], test["repeats"], test["needed"]) == ("pass", 2, 3, 2)


def test_a_recording_is_replayed_without_a_server(tmp_path: Path) -> None:
    with Upstream(says("It is Paris.")) as server:
        gateway(tmp_path, server.url)
        checks(tmp_path, CAPITAL, WRONG)
        recorded = run(tmp_path, "--record", "--json")
    replayed = run(tmp_path, "--replay", "--json")
    assert replayed.code == recorded.code == 3
    assert replayed.json["mode"] == "replay"
    for test in replayed.json["tests"]:
        assert test["samples"][0]["answer"]["replayed"]
        assert test["samples"][0]["answer"]["text"] == "It is Paris."


def test_a_replay_is_not_paid_again(tmp_path: Path) -> None:
    with Upstream(says("It is Paris.")) as server:
        gateway(tmp_path, server.url)
        checks(tmp_path, CAPITAL)
        run(tmp_path, "--record")
    before = aivax_here("usage", "--json", cwd=tmp_path).out
    assert run(tmp_path, "--replay").code == 0
    assert aivax_here("usage", "--json", cwd=tmp_path).out == before


@pytest.mark.parametrize("change", [("capital?", "capital!"), ("checks/t.yaml", "")])
def test_a_replay_of_anything_else_misses(tmp_path: Path, change: tuple[str, str]) -> None:
    with Upstream(says("It is Paris.")) as server:
        gateway(tmp_path, server.url)
        file = checks(tmp_path, CAPITAL)
        run(tmp_path, "--record")
    old, new = change
    if new:
        file.write_text(file.read_text().replace(old, new))
    else:
        (recording,) = (tmp_path / "checks" / "cassettes").glob("*/*.json")
        recording.write_text("{")
    done = run(tmp_path, "--replay")
    assert done.code == 1
    said = "where now is 'The capital!'" if new else "cannot be read"
    assert said in done.out


def test_a_rewrite_that_misses_is_an_error_and_no_plain_search(tmp_path: Path, upstream: Upstream) -> None:
    knowledge = "knowledge: {collections: [kb], strategy: UserRewrite, min_score: 0}\n"
    with Upstream(embeddings()) as embedder:
        model = f"{{base_url: {embedder.url}, name: e}}"
        write_files(
            tmp_path, {"docs/a.md": "Cats sleep.", "collections/kb.yaml": f"embedder: {{model: {model}}}\n"}
        )
        gateway(tmp_path, upstream.url, more=knowledge)
        checks(tmp_path, "{id: a, input: 'What do cats do?', expect: [{contains: Paris}]}")
        assert aivax_here("ingest", "docs", "-c", "kb", cwd=tmp_path).code == 0
        assert run(tmp_path, "--record").code == 0
    replayed = run(tmp_path, "--replay", "--json")
    assert replayed.code == 0, replayed.out
    assert replayed.json["tests"][0]["samples"][0]["answer"]["passages"]
    for recording in (tmp_path / "checks" / "cassettes" / "a").glob("*.json"):
        if "Cats sleep" not in recording.read_text():
            recording.unlink()
    missed = run(tmp_path, "--replay")
    assert missed.code == 1
    assert "was not recorded" in missed.out


def test_tools_are_recorded_too(tmp_path: Path) -> None:
    tool = "tools: [{name: weather, description: The weather., url: 'URL'}]\n"
    with Upstream(says("sunny")) as called, Upstream() as model:
        model.answers(calls_tool("weather", {"city": "Paris"}), says("Sunny in Paris."))
        gateway(tmp_path, model.url, more=tool.replace("URL", called.url))
        checks(tmp_path, "{id: a, input: x, expect: [{tool_called: weather}, {contains: Sunny}]}")
        recorded = run(tmp_path, "--record")
        assert recorded.code == 0, recorded.out
    assert run(tmp_path, "--replay").code == 0


def test_an_endpoints_error_is_recorded_as_it_was(tmp_path: Path) -> None:
    with Upstream(status(400, "too hot")) as server:
        gateway(tmp_path, server.url)
        checks(tmp_path, CAPITAL)
        assert run(tmp_path, "--record").code == 1
    done = run(tmp_path, "--replay")
    assert done.code == 1
    assert "too hot" in done.out


def test_no_secret_is_in_a_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "MODEL_KEY": "zebra-crossing-42",
        "OTHER_TOKEN": "correct horse battery",
        "PLAIN": "not a secret",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    leaked = ", ".join(secrets.values())
    with Upstream(says(f"It is Paris. {leaked}")) as server:
        write_gateway(tmp_path, "g", f"{{base_url: {server.url}, name: m, api_key_env: MODEL_KEY}}")
        checks(tmp_path, f"{{id: a, input: 'Say {leaked}', expect: [{{contains: Paris}}]}}")
        assert run(tmp_path, "--record").code == 0
    kept = "".join(file.read_text() for file in (tmp_path / "checks" / "cassettes").rglob("*.json"))
    assert "zebra-crossing-42" not in kept
    assert "correct horse battery" not in kept
    assert "not a secret" in kept
    assert run(tmp_path, "--replay").code == 0


def test_ci_replays_where_there_are_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with Upstream(says("It is Paris.")) as server:
        gateway(tmp_path, server.url)
        checks(tmp_path, CAPITAL)
        assert run(tmp_path, "--json").json["mode"] == "live"
        run(tmp_path, "--record")
    assert run(tmp_path, "--json").json["mode"] == "replay"
    assert run(tmp_path, "--live").code == 1


def test_recordings_that_nothing_uses_are_pruned(tmp_path: Path, upstream: Upstream) -> None:
    gateway(tmp_path, upstream.url)
    file = checks(tmp_path, CAPITAL, WRONG)
    run(tmp_path, "--record")
    file.write_text(f"gateway: g\ntests:\n  - {CAPITAL}\n")
    run(tmp_path, "--replay", "--prune")
    left = [path.parent.name for path in (tmp_path / "checks" / "cassettes").rglob("*.json")]
    assert left == ["capital"]


@pytest.mark.parametrize("kind", ["rubric: Is polite", "factual: Paris", "grounded: 0.5"])
def test_a_judge_that_echoes_passes_nothing(tmp_path: Path, upstream: Upstream, kind: str) -> None:
    def echo(request: Request) -> Answer:
        return says(request.body["messages"][-1]["content"])

    with Upstream(echo) as judge:
        gateway(tmp_path, upstream.url)
        gateway(tmp_path, judge.url, "judge", 2)
        checks(tmp_path, f"{{id: a, input: x, expect: [{{{kind}}}]}}", head="judge: {gateway: judge}\n")
        assert run(tmp_path).code != 0


def test_the_judge_is_asked_only_when_the_rules_hold(tmp_path: Path, upstream: Upstream) -> None:
    said = json.dumps({"reason": "It greets kindly.", "score": 0.9, "verdict": "met"})
    with Upstream(says(said)) as judge:
        gateway(tmp_path, upstream.url)
        gateway(tmp_path, judge.url, "judge", 2)
        tests = (
            "{id: a, input: x, expect: [{rubric: Is polite}, {contains: Rome}]}",
            "{id: b, input: x, expect: [{rubric: Is polite}, {contains: Paris}]}",
        )
        checks(tmp_path, *tests, head="judge: {gateway: judge, votes: 3}\n")
        found = {test["id"]: test["status"] for test in run(tmp_path, "--json").json["tests"]}
        assert found == {"a": "fail", "b": "pass"}
        assert len(judge.requests) == 3


@pytest.mark.parametrize(
    ("test", "head", "said"),
    [
        ("{id: a, input: x, expect: [{rubric: Is polite}]}", "", "t.yaml:3: rubric: needs a judge"),
        ("{id: a, input: x, expect: [{not: {factual: x}}]}", "", "t.yaml:3: factual: needs a judge"),
        ("{id: a, input: x, expect: [{json_schema: no.json}]}", "", "no such file: no.json"),
        ("{id: a, input: x, expect: [{python: no.py:check}]}", "", "no such file: no.py"),
        ("{id: a, input: x, expect: [{regex: '('}]}", "", "is no regular expression"),
        ("{id: a, input: x, expect: [{contains: x}], min_pass: 2}", "", "t.yaml:3: min_pass: 'a' must pass"),
        (CAPITAL, "matrix: {stratgy: [Plain]}\n", "t.yaml:2: matrix: "),
        (CAPITAL, "matrix: {strategy: [Plan]}\n", "t.yaml:2: matrix: "),
        (CAPITAL, "judge: {gateway: nobody}\n", "t.yaml:2: judge: no gateway named 'nobody'"),
        (CAPITAL, "run: {min_pass: 2}\n", "t.yaml:2: run: min_pass is more than repeat"),
        ("{id: a, input: x, skip: later, expect: [{contains: x}]}", "", "every selected test is skipped"),
    ],
)
def test_what_cannot_work_is_told_before_any_call(
    tmp_path: Path, upstream: Upstream, test: str, head: str, said: str
) -> None:
    gateway(tmp_path, upstream.url)
    checks(tmp_path, test, head=head)
    done = run(tmp_path)
    assert done.code == 2
    assert said in done.err
    assert upstream.requests == []


def test_a_limit_of_cost_on_an_unpriced_model_is_refused_before_any_call(
    tmp_path: Path, upstream: Upstream
) -> None:
    write_gateway(tmp_path, "g", "'@far/m'")
    (tmp_path / "aivax.yaml").write_text(f"providers: {{far: {{base_url: {upstream.url}, free: false}}}}\n")
    checks(tmp_path, CAPITAL, head="limits: {usd: 0.01}\n")
    done = run(tmp_path)
    assert done.code == 2
    assert "nobody has said what @far/m costs" in done.err
    assert upstream.requests == []


def test_an_estimate_asks_nothing(tmp_path: Path, upstream: Upstream) -> None:
    gateway(
        tmp_path,
        upstream.url,
        more="pricing: {input: 1, output: 2}\nparameters: {max_completion_tokens: 100}\n",
    )
    checks(tmp_path, CAPITAL, WRONG, head="run: {repeat: 3}\n")
    found = run(tmp_path, "--estimate", "--json").json
    assert (found["tests"], found["calls"]) == (2, 6)
    assert 6 * 100 * 2e-6 <= found["usd"] < 0.01
    assert upstream.requests == []


def test_only_the_tests_that_did_not_pass_are_run_again(tmp_path: Path, upstream: Upstream) -> None:
    gateway(tmp_path, upstream.url)
    checks(tmp_path, CAPITAL, WRONG)
    run(tmp_path)
    assert [test["id"] for test in run(tmp_path, "--failed", "--json").json["tests"]] == ["wrong"]


def test_a_blessed_run_is_what_later_ones_are_compared_with(tmp_path: Path, upstream: Upstream) -> None:
    gateway(tmp_path, upstream.url)
    checks(tmp_path, CAPITAL, WRONG, head="gate: {max_new_failures: 0}\n")
    assert run(tmp_path, "--bless").code == 3
    assert run(tmp_path).code == 0
    upstream.answers(says("It is Rome."))
    done = run(tmp_path)
    assert done.code == 3
    assert "new failure: t/capital" in done.out
    assert "fixed: t/wrong" in done.out


def test_a_test_that_takes_too_long_is_an_error(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answers(Answer(delay_s=5))
    gateway(tmp_path, upstream.url)
    checks(tmp_path, CAPITAL, head="run: {timeout_s: 0.2}\n")
    done = run(tmp_path)
    assert done.code == 1
    assert "took longer than 0.2 s" in done.out


def test_reports_hold_what_a_hostile_answer_says_as_text(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answers(says("<script>alert(1)</script> ]]> \x1b[31m | & \x00"))
    gateway(tmp_path, upstream.url)
    checks(tmp_path, WRONG)
    run(tmp_path, "--junit", "j.xml", "--html", "r.html", "--markdown", "r.md")
    case = ElementTree.parse(tmp_path / "j.xml").find(".//testcase/failure")
    assert case is not None
    assert "<script>" in (case.text or "")
    page = (tmp_path / "r.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in (tmp_path / "r.md").read_text()


def test_datasets_become_tests(tmp_path: Path, upstream: Upstream) -> None:
    gateway(tmp_path, upstream.url)
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "faq.csv").write_text(
        "id,input,contains,tags\nx,The capital?,Paris;It,geo\n,And?,Rome,\n"
    )
    (tmp_path / "checks" / "more.jsonl").write_text('{"input": "?", "expect": [{"words": {"max": 3}}]}\n')
    (tmp_path / "checks" / "t.yaml").write_text(
        "gateway: g\ndatasets: [{file: faq.csv}, {file: more.jsonl}]\n"
    )
    found = {test["id"]: test["status"] for test in run(tmp_path, "--json").json["tests"]}
    assert found == {"x": "pass", "faq-2": "fail", "more-1": "pass"}


def test_a_faulty_row_is_named(tmp_path: Path) -> None:
    gateway(tmp_path, CLOSED)
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "faq.csv").write_text("id,input,contain\nx,The capital?,Paris\n")
    (tmp_path / "checks" / "t.yaml").write_text("gateway: g\ndatasets: [{file: faq.csv}]\n")
    done = run(tmp_path)
    assert done.code == 2
    assert "checks/faq.csv:1: cannot be read: no column named 'contain'; did you mean 'contains'?" in done.err


def test_a_gateway_that_is_missing_is_a_fault_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "gateways").mkdir()
    checks(tmp_path, CAPITAL)
    done = run(tmp_path)
    assert done.code == 2
    assert "checks/t.yaml:1: gateway: no gateway named 'g'" in done.err


def test_tables_of_spreadsheets_are_read(tmp_path: Path, upstream: Upstream) -> None:
    gateway(tmp_path, upstream.url)
    (tmp_path / "checks").mkdir()
    head = "\ufeffid;input;contains;words"
    rows = ['x;"The capital; which?\nSay.";"Paris;It";"{""max"": 3}"', "y;Where?;Rome;"]
    (tmp_path / "checks" / "faq.csv").write_text("\r\n".join([head, *rows]) + "\r\n", encoding="utf-8")
    (tmp_path / "checks" / "t.yaml").write_text("gateway: g\ndatasets: [{file: faq.csv}]\n")
    found = {test["id"]: test["status"] for test in run(tmp_path, "--json").json["tests"]}
    assert found == {"x": "pass", "y": "fail"}
    assert {body["messages"][-1]["content"] for body in upstream.bodies} == {
        "The capital; which?\nSay.",
        "Where?",
    }


def test_a_large_table_that_is_all_wrong_is_told_briefly(tmp_path: Path) -> None:
    gateway(tmp_path, CLOSED)
    (tmp_path / "checks").mkdir()
    rows = "".join(f"t{n},Who?,many\n" for n in range(10_000))
    (tmp_path / "checks" / "faq.csv").write_text("id,input,repeat\n" + rows)
    (tmp_path / "checks" / "t.yaml").write_text("gateway: g\ndatasets: [{file: faq.csv}]\n")
    done = run(tmp_path)
    assert done.code == 2
    assert "checks/faq.csv:2: repeat: " in done.err
    assert len(done.err.splitlines()) < 30


def test_a_replay_fetches_no_instructions(tmp_path: Path) -> None:
    with (
        Upstream(says("It is Paris.")) as model,
        Upstream(Answer((b"Be brief.",), headers={"content-type": "text/plain"})) as texts,
    ):
        gateway(
            tmp_path, model.url, more=f"remote_instructions: [{{url: '{texts.url}/x.txt', cache_s: 0}}]\n"
        )
        checks(tmp_path, CAPITAL)
        assert run(tmp_path, "--record").code == 0
        assert "Be brief." in model.bodies[0]["messages"][0]["content"]
        asked = len(texts.requests)
        assert run(tmp_path, "--replay").code == 0
        assert len(texts.requests) == asked
    for recording in (tmp_path / "checks" / "cassettes").rglob("*.json"):
        if json.loads(recording.read_text())["kind"] == "instructions":
            recording.unlink()
    missed = run(tmp_path, "--replay")
    assert missed.code == 1
    assert "nothing of the kind (instructions) was recorded" in missed.out


def test_the_same_request_twice_has_two_recordings(tmp_path: Path) -> None:
    tool = "tools: [{name: state, description: The state., url: 'URL'}]\n"
    with Upstream() as called, Upstream() as model:
        called.answers(says("pending"), says("done"))
        model.answers(calls_tool("state", {}), calls_tool("state", {}), says("It is done."))
        gateway(tmp_path, model.url, more=tool.replace("URL", called.url))
        checks(tmp_path, "{id: a, input: x, expect: [{contains: done}]}")
        assert run(tmp_path, "--record").code == 0
    assert run(tmp_path, "--replay").code == 0


def test_what_cannot_be_recorded_is_an_error(tmp_path: Path, upstream: Upstream) -> None:
    gateway(tmp_path, upstream.url)
    checks(tmp_path, CAPITAL)
    (tmp_path / "checks" / "cassettes").write_text("in the way")
    done = run(tmp_path, "--record")
    assert done.code == 1
    assert "the answer cannot be recorded" in done.out


@pytest.mark.parametrize(
    ("option", "file"), [("--html", "missing/r.html"), ("--junit", "checks"), ("--markdown", "no/r.md")]
)
def test_a_report_that_cannot_be_written_is_refused_before_any_call(
    tmp_path: Path, upstream: Upstream, option: str, file: str
) -> None:
    gateway(tmp_path, upstream.url)
    checks(tmp_path, CAPITAL)
    assert run(tmp_path, option, file).code == 2
    assert upstream.requests == []


def test_own_code_that_hangs_or_leaves_is_an_error_of_its_test(tmp_path: Path, upstream: Upstream) -> None:
    gateway(tmp_path, upstream.url)
    checks(
        tmp_path,
        "{id: hangs, input: x, expect: [{python: own.py:hang}]}",
        "{id: leaves, input: x, expect: [{python: own.py:leave}]}",
        CAPITAL,
        head="run: {timeout_s: 5}\n",
    )
    (tmp_path / "checks" / "own.py").write_text(
        "import sys, time\n\ndef hang(answer):\n    time.sleep(600)\n\ndef leave(answer):\n    sys.exit(0)\n"
    )
    done = aivax("check", "--json", cwd=tmp_path, home=tmp_path)
    assert done.code == 1
    assert {test["id"]: test["status"] for test in done.json["tests"]} == {
        "hangs": "error",
        "leaves": "error",
        "capital": "pass",
    }


def test_an_interrupted_recording_keeps_what_it_has(tmp_path: Path) -> None:
    slow = threading.Event()

    def answer(request: Request) -> Answer:
        if "slow" in request.body["messages"][-1]["content"]:
            slow.set()
            return Answer(delay_s=2 * PATIENT_S)
        return says("It is Paris.")

    with Upstream(answer) as server:
        gateway(tmp_path, server.url)
        checks(
            tmp_path,
            CAPITAL,
            "{id: slow, input: slow, expect: [{contains: x}]}",
            head="run: {concurrency: 1}\n",
        )
        line = [sys.executable, "-m", "aivax_cli", "check", "--record"]
        environ = {**os.environ, "HOME": str(tmp_path)}
        process = subprocess.Popen(line, cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL)
        assert slow.wait(PATIENT_S)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENT_S) == 130
    assert [path.parent.name for path in (tmp_path / "checks" / "cassettes").rglob("*.json")] == ["capital"]


def test_a_threshold_that_may_still_be_reached_asks_the_judge(tmp_path: Path, upstream: Upstream) -> None:
    with Upstream(says(json.dumps({"reason": "It is rude.", "score": 0.1, "verdict": "unmet"}))) as judge:
        gateway(tmp_path, upstream.url)
        gateway(tmp_path, judge.url, "judge", 2)
        expect = "[{contains: Paris}, {contains: Rome}, {rubric: Is polite}]"
        checks(
            tmp_path,
            f"{{id: a, input: x, threshold: 0.5, expect: {expect}}}",
            head="judge: {gateway: judge}\n",
        )
        assert run(tmp_path).code == 3
        assert len(judge.requests) == 1


def test_comparing_leaves_what_failed_last_as_it_is(tmp_path: Path, upstream: Upstream) -> None:
    gateway(tmp_path, upstream.url)
    checks(tmp_path, CAPITAL, WRONG)
    run(tmp_path)
    aivax_here("compare", "--set", "parameters.seed=1,2", cwd=tmp_path)
    assert [test["id"] for test in run(tmp_path, "--failed", "--json").json["tests"]] == ["wrong"]


def test_pytest_collects_the_same_tests(tmp_path: Path) -> None:
    with Upstream(says("It is Paris.")) as server:
        gateway(tmp_path, server.url)
        checks(tmp_path, CAPITAL, WRONG, "{id: later, input: x, expect: [{contains: x}], skip: not yet}")
        run(tmp_path, "--record")
    line = [sys.executable, "-m", "pytest", "--aivax", "checks", "-p", "no:cacheprovider", "-q"]
    environ = {**os.environ, "HOME": str(tmp_path), "COLUMNS": "200"}
    done = subprocess.run(
        [*line, "--aivax-mode", "replay"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=2 * PATIENT_S,
        check=False,
    )
    assert "1 failed, 1 passed, 1 skipped" in done.stdout, done.stdout
    assert "fail: contains: does not contain 'Rome'" in done.stdout


def test_cells_are_compared_and_the_cheapest_good_one_named(tmp_path: Path) -> None:
    def answer(request: Request) -> Answer:
        return says("It is Paris." if request.body["model"] != "weak" else "No idea.")

    with Upstream(answer) as server:
        gateway(tmp_path, server.url, more="pricing: {input: 1, output: 1}\n")
        costs = {"weak": 1, "good": 2, "dear": 50}
        providers = "".join(f"  {name}: {{base_url: '{server.url}', free: false}}\n" for name in costs)
        prices = "".join(
            f"  '@{name}/{name}': {{input: {usd}, output: {usd}}}\n" for name, usd in costs.items()
        )
        (tmp_path / "aivax.yaml").write_text(f"providers:\n{providers}prices:\n{prices}")
        write_gateway(tmp_path, "g", "'@good/good'")
        checks(
            tmp_path,
            *(f"{{id: t{n}, input: 'The capital {n}?', expect: [{{contains: Paris}}]}}" for n in range(8)),
        )
        options = ("compare", "--model", "@weak/weak,@good/good,@dear/dear", "--best")
        found = aivax_here(*options, "--json", cwd=tmp_path).json
        assert [cell["passed"] for cell in found["cells"]] == [0, 8, 8]
        assert found["best"]["settings"] == {"model": "@good/good"}
        shown = aivax_here(*options, cwd=tmp_path)
        change = yaml.safe_load(shown.out.partition("In the gateway:")[2])
        assert change == {"model": "@good/good"}
        assert "pass rate by USD per test" in shown.out


def test_drafts_are_made_from_a_collection(tmp_path: Path) -> None:
    text = (
        "Cats sleep twelve hours a day, mostly in the afternoon, and they dream of mice while they do so. "
        * 3
    )
    with (
        Upstream(embeddings()) as embedder,
        Upstream(says("Question: x\n1. How long do cats sleep?")) as model,
    ):
        reference = f"{{base_url: {embedder.url}, name: e}}"
        write_files(
            tmp_path, {"docs/cats.md": text, "collections/kb.yaml": f"embedder: {{model: {reference}}}\n"}
        )
        gateway(tmp_path, model.url, more="knowledge: {collections: [kb]}\n")
        assert aivax_here("ingest", "docs", "-c", "kb", cwd=tmp_path).code == 0
        done = run(tmp_path, "--generate", "kb", "-n", "3")
        assert done.code == 0, done.err
        written = (tmp_path / "checks" / "generated-kb.yaml").read_text()
        assert (tmp_path / "checks" / ".checks.schema.json").exists()
        assert "How long do cats sleep?" in written
        assert "docs/cats.md" in written
        assert run(tmp_path, "--generate", "kb").code == 2
        assert run(tmp_path).code == 0


def test_a_fresh_process_replays_without_a_home(tmp_path: Path) -> None:
    with Upstream(says("It is Paris.")) as server:
        gateway(tmp_path, server.url)
        checks(tmp_path, CAPITAL)
        run(tmp_path, "--record")
    done = aivax("check", "-q", cwd=tmp_path, home=tmp_path, env={"CI": "true"})
    assert done.code == 0, done.err
    assert "replay" in done.out
