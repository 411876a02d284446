"""`aivax models` and `aivax models pull` as users run them."""

from hashlib import sha256

import pytest
from support.command_line import aivax
from support.upstream import Answer, Upstream
from support.workspaces import write_gateway

GGUF = b"GGUF" + bytes(range(256)) * 64
GGUF_SHA256 = sha256(GGUF).hexdigest()
SECRET = "sk-proj-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "workspace"
    write_gateway(folder, "support", '"@openai/gpt-5-mini"')
    return folder


@pytest.fixture
def run(workspace, tmp_path):
    def run(*arguments, env=None, cwd=workspace):
        return aivax("models", *arguments, cwd=cwd, home=tmp_path, env=env)

    return run


@pytest.fixture
def hub():
    with Upstream(Answer((GGUF,), headers={"content-type": "application/octet-stream"})) as hub:
        yield hub


def test_providers_say_whether_their_key_is_there_and_never_what_it_is(run):
    done = run("--json", env={"OPENAI_API_KEY": SECRET})

    providers = {row["name"]: row for row in done.json["providers"]}
    assert done.code == 0
    assert providers["openai"] == {
        "name": "openai",
        "base_url": "https://api.openai.com/v1",
        "key_variable": "OPENAI_API_KEY",
        "key": "present",
    }
    assert providers["mistral"]["key"] == "missing"
    assert providers["ollama"]["key"] == "not needed"
    assert SECRET not in done.out + done.err


def test_the_models_of_the_workspace_have_prices_and_their_gateways(run, workspace):
    write_gateway(workspace, "billing", '"@openai/gpt-5-mini"', number=2)
    pricing = "pricing: {input: 1, output: 2.5}\n"
    write_gateway(
        workspace, "own", "{base_url: https://llm.example.com/v1, name: llama}", number=3, more=pricing
    )
    write_gateway(workspace, "unknown", "{base_url: https://llm.example.com/v1, name: mystery}", number=4)
    used = {row["model"]: row for row in run("--json").json["used"]}

    mini = used["@openai/gpt-5-mini"]
    prices = ("input_usd_per_mtok", "cached_input_usd_per_mtok", "output_usd_per_mtok")
    assert mini["gateways"] == ["billing", "support"]
    assert mini["key"] == "missing"
    assert [mini[price] for price in prices] == [0.25, 0.025, 2.0]
    assert [used["llama"][price] for price in prices] == [1.0, None, 2.5]
    assert [used["mystery"][price] for price in prices] == [None, None, None]


def test_models_of_rewriters_are_among_those_used(run, workspace):
    rewrite = 'rewrite:\n  models: ["@groq/llama-3.3-70b-versatile"]\n'
    write_gateway(workspace, "smart", '"@local/qwen2.5-coder-0.5b"', number=2, more=rewrite)

    done = run()
    assert "@groq/llama-3.3-70b-versatile" in done.out
    assert "free" in next(line for line in done.out.splitlines() if "smart" in line and "@local" in line)


def test_a_broken_gateway_does_not_hide_the_others(run, workspace):
    write_gateway(workspace, "broken", '"@openai/gpt-5-nano"', number=2, more="nonsense: 1\n")

    assert [row["model"] for row in run("--json").json["used"]] == ["@openai/gpt-5-mini"]


def test_outside_of_a_workspace_the_rest_is_shown(run, tmp_path):
    done = run("--json", cwd=tmp_path)

    assert done.code == 0
    assert done.json["used"] == []
    assert len(done.json["providers"]) > 5


def test_providers_of_the_workspace_are_listed(run, workspace):
    (workspace / "aivax.yaml").write_text(
        "providers:\n  acme: {base_url: https://llm.acme.example/v1, api_key_env: ACME_KEY}\n"
    )

    assert "ACME_KEY missing" in next(line for line in run().out.splitlines() if "@acme" in line)


def test_a_provider_lists_all_its_models_with_prices(run):
    done = run("openai")

    assert done.code == 0
    row = next(line.split() for line in done.out.splitlines() if line.split()[:1] == ["@openai/gpt-5-mini"])
    assert row == ["@openai/gpt-5-mini", "$0.25", "$0.025", "$2.00", "400,000"]
    assert "export OPENAI_API_KEY" in done.err


def test_a_beginning_of_a_name_narrows_the_list(run):
    models = [row["model"] for row in run("@openai/gpt-5-m", "--json").json["models"]]

    assert "@openai/gpt-5-mini" in models
    assert all(model.startswith("@openai/gpt-5-m") for model in models)


def test_a_provider_without_a_price_table_says_so(run):
    done = run("ollama")

    assert (done.code, done.out) == (0, "")
    assert "no such model of ollama" in done.err


def test_an_unknown_provider_gets_a_suggestion(run):
    done = run("opanai")

    assert done.code == 2
    assert done.err == "error: no provider named 'opanai'; did you mean 'openai'?\n"


def test_a_model_from_an_address_is_verified_kept_and_listed(run, hub, tmp_path):
    done = run("pull", f"{hub.url}/Tiny-Q4.gguf", "--sha256", GGUF_SHA256, "--name", "tiny")

    assert done.code == 0, done.err
    assert "@local/tiny is here" in done.err
    assert "believed" not in done.err
    local = {row["model"]: row for row in run("local", "--json").json["models"]}
    assert local["@local/tiny"]["downloaded"] is True
    assert local["@local/tiny"]["size_bytes"] == len(GGUF)
    assert local["@local/smollm2-135m"]["downloaded"] is False
    assert next((tmp_path / "cache").rglob("tiny.gguf")).read_bytes() == GGUF


def test_a_file_that_is_another_than_stated_is_refused_and_deleted(run, hub, tmp_path):
    done = run("pull", f"{hub.url}/tiny.gguf", "--sha256", "0" * 64)

    assert done.code == 1
    assert GGUF_SHA256 in done.err
    assert not list((tmp_path / "cache").rglob("*.gguf"))


def test_an_address_without_a_hash_is_believed_with_a_warning_that_names_it(run, hub):
    done = run("pull", f"{hub.url}/tiny.gguf", "--json")

    assert done.code == 0
    assert done.json["pulled"][0]["model"] == "@local/tiny"
    assert done.json["pulled"][0]["sha256"] == GGUF_SHA256
    assert f"its SHA-256 is {GGUF_SHA256}" in done.err


def test_a_pulled_model_is_fetched_once(run, hub):
    run("pull", f"{hub.url}/tiny.gguf", "--sha256", GGUF_SHA256)
    again = run("pull", "tiny")

    assert again.code == 0
    assert len(hub.requests) == 1


def test_a_file_of_this_machine_can_be_added(run, workspace):
    (workspace / "My Model.gguf").write_bytes(GGUF)
    done = run("pull", "My Model.gguf", "--quiet")

    assert (done.code, done.err) == (0, "")
    assert "@local/my-model" in run("local").out


def test_a_page_instead_of_a_model_is_refused(run):
    with Upstream(Answer((b"<html>please sign in</html>",))) as hub:
        done = run("pull", f"{hub.url}/tiny.gguf")

    assert done.code == 1
    assert "no GGUF file" in done.err


def test_an_unknown_name_gets_a_suggestion(run):
    done = run("pull", "qwen3-4b-instrct")

    assert done.code == 2
    assert "did you mean 'qwen3-4b-instruct'?" in done.err


def test_a_name_of_the_table_goes_to_its_pinned_file(run):
    done = run("pull", "qwen3-4b-instruct", env={"AIVAX_OFFLINE": "1"})

    assert done.code == 1
    assert "AIVAX_OFFLINE" in done.err


def test_the_defaults_without_a_network_say_what_is_missing(run):
    done = run("pull", "--all-defaults", env={"AIVAX_OFFLINE": "1"})

    assert done.code == 1
    assert "'e5-small'" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [(), ("tiny", "--all-defaults"), ("--all-defaults", "--name", "x")])
def test_pull_wants_one_thing(arguments, run):
    assert run("pull", *arguments).code == 2
