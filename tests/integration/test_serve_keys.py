"""Keys of the server, what they limit, and what nobody gets at: two real workers over one workspace."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import httpx
import openai
import pytest
from support.in_process import aivax_here
from support.patience import PATIENT_S
from support.serving import gateway, served, until
from support.upstream import Upstream, says, status

from aivax_cli.usage.key_spending import spent_today
from aivax_cli.usage.ledger_file import LedgerFile

ANSWER = "Four."
INSTRUCTIONS = "INSTRUCTIONS-NOBODY-SHALL-SEE"
ASKED = {"model": "a", "prompt": "Two and two?"}


@pytest.fixture(scope="module")
def upstream():
    with Upstream(says(ANSWER)) as server:
        yield server


@pytest.fixture(scope="module")
def root(tmp_path_factory, upstream):
    root = tmp_path_factory.mktemp("keys")
    more = f"instructions: {INSTRUCTIONS}\nparameters: {{max_completion_tokens: 10}}\n"
    gateway(root, upstream, "a", number=1, more=more)
    gateway(root, upstream, "b", number=2, more=more)
    return root


@pytest.fixture(scope="module")
def running(root):
    aivax_here("keys", "new", "first", cwd=root)
    with served(root, "--workers", "2") as server:
        yield server


@pytest.fixture
def new_key(root, running, request):
    """Makes a key with these options; its name is the test's."""

    def make(*options: str) -> str:
        made = aivax_here("keys", "new", request.node.name[:60], *options, cwd=root)
        assert made.code == 0, made.err
        return made.out.strip()

    return make


@pytest.fixture(autouse=True)
def answering(upstream):
    upstream.answers(says(ANSWER))


def ask(server, key=None, *, header="bearer", path="/v1/chat/completions", **body):
    headers = {}
    if key is not None:
        sent = key.encode()
        headers = {"x-api-key": sent} if header == "x-api-key" else {"authorization": b"Bearer " + sent}
    return server.post({**ASKED, **body}, path, headers=headers)


def test_without_a_key_nothing_is_answered(running):
    found = ask(running)
    assert (found.status_code, found.headers["www-authenticate"]) == (401, "Bearer")
    assert found.json()["error"]["type"] == "authentication_error"


def test_every_path_but_health_and_the_page_asks_for_a_key(running):
    open_paths = {path: running.get(path).status_code for path in ("/", "/healthz", "/readyz")}
    closed = {path: running.get(path).status_code for path in ("/v1/models", "/metrics", "/mcp", "/nothing")}
    assert (set(open_paths.values()), set(closed.values())) == ({200}, {401})


def test_the_curl_that_the_server_proposes_has_a_key(running):
    until(lambda: any(line.startswith("try: curl") for line in running.lines))
    assert "-H 'x-api-key: oky_…'" in running.said


@pytest.mark.parametrize("header", ["bearer", "x-api-key"])
def test_a_key_opens_by_both_headers(running, new_key, header):
    found = ask(running, new_key(), header=header)
    assert found.json()["choices"][0]["message"]["content"] == ANSWER


def test_a_key_with_another_secret_is_refused(running, new_key):
    right = new_key()
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    assert ask(running, wrong).json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("key", ["oky_", "sk-123", "x" * 10_000, "ключ"])
def test_what_is_no_key_is_refused(running, key):
    assert ask(running, key).status_code == 401


def test_the_openai_sdk_calls_a_wrong_key_an_authentication_error(running):
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="oky_wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        client.models.list()


def test_a_revoked_key_is_refused_by_a_server_that_runs(running, new_key, root):
    key = new_key()
    before = ask(running, key).status_code
    revoked = aivax_here("keys", "revoke", key[:12], cwd=root)
    assert (before, revoked.code, ask(running, key).status_code) == (200, 0, 401)


def test_a_key_of_one_gateway_may_not_use_another(running, new_key, upstream):
    key = new_key("--gateway", "a")
    asked = len(upstream.requests)
    refused = ask(running, key, model="b")
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")
    assert len(upstream.requests) == asked


def test_a_key_learns_nothing_of_other_gateways(running, new_key):
    key = new_key("--gateway", "a")
    there, not_there = (ask(running, key, model=name).json()["error"]["message"] for name in ("b", "c"))
    headers = {"authorization": f"Bearer {key}"}
    listed = httpx.get(f"{running.url}/v1/models", headers=headers, timeout=PATIENT_S, trust_env=False).json()
    one = httpx.get(f"{running.url}/v1/models/b", headers=headers, timeout=PATIENT_S, trust_env=False)
    assert there.replace("'b'", "'c'") == not_there
    assert ([model["id"] for model in listed["data"]], one.status_code) == (["a"], 404)


@pytest.mark.parametrize(("options", "code"), [((), 200), (("--gateway", "a"), 403)])
def test_metrics_are_for_keys_of_every_gateway(running, new_key, options, code):
    headers = {"authorization": f"Bearer {new_key(*options)}"}
    found = httpx.get(
        f"{running.url}/metrics", headers=headers, timeout=PATIENT_S, trust_env=False, verify=False
    )
    assert found.status_code == code


@pytest.mark.parametrize("reference", ["a", "a:0001", "0199c3f0-0000-7000-8000-000000000001"])
def test_a_key_may_use_its_gateway_by_every_name(running, new_key, reference):
    assert ask(running, new_key("--gateway", "a:0001"), model=reference).status_code == 200


def test_two_workers_share_the_requests_of_a_minute(running, new_key):
    key = new_key("--rpm", "5")
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ask(running, key), range(16)))
    took_s = time.monotonic() - began
    codes = sorted(each.status_code for each in found)
    waits = {int(each.headers["retry-after"]) for each in found if each.status_code == 429}
    assert codes == [200] * 5 + [429] * 11
    assert all(59 - took_s <= wait <= 61 for wait in waits)


def test_a_key_that_cannot_pay_is_refused_before_the_model_is_asked(running, new_key, upstream):
    key = new_key("--usd-per-day", "0.00001")
    asked = len(upstream.requests)
    refused = ask(running, key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_quota")
    assert "0.00001 USD a day" in refused.json()["error"]["message"]
    assert len(upstream.requests) == asked


def test_two_workers_share_what_a_key_may_cost(running, new_key, root):
    upper = Decimal("0.00008")  # a call may cost 0.00003 or so, and costs 0.000012
    key = new_key("--usd-per-day", str(upper))
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: ask(running, key).status_code, range(16)))
    codes += [ask(running, key).status_code for _ in range(8)]
    spent = spent_today(LedgerFile(root / ".aivax" / "ledger.db"), key[4:12])
    assert set(codes) == {200, 402}
    assert spent == Decimal("0.000012") * codes.count(200) <= upper


def test_what_a_key_says_in_metadata_does_not_charge_another(running, new_key, root):
    key = new_key()
    ask(running, key, metadata={"aivax.key": "somebody"})
    spent = spent_today(LedgerFile(root / ".aivax" / "ledger.db"), key[4:12])
    assert spent == Decimal("0.000012")


def test_an_idempotency_key_is_its_keys_own(running, new_key, root):
    one = new_key()
    other = aivax_here("keys", "new", "other idempotent", cwd=root).out.strip()
    first, second, again = (
        ask(running, key, idempotency_key="same").json()["id"] for key in (one, other, one)
    )
    assert first == again != second


def test_keys_are_kept_as_hashes_in_a_file_of_the_users_own(running, new_key, root):
    key = new_key()
    file = root / ".aivax" / "keys.db"
    kept = b"".join(each.read_bytes() for each in file.parent.glob("keys.db*"))
    assert key.encode() not in kept and key[12:].encode() not in kept
    assert file.stat().st_mode & 0o077 == 0


def test_keys_are_listed_without_what_opens(running, new_key, root):
    key = new_key("--gateway", "a", "--rpm", "7")
    rows = aivax_here("keys", "list", "--json", cwd=root).json
    row = next(row for row in rows if row["id"] == key[4:12])
    assert (row["gateways"], row["requests_per_minute"], row["revoked"]) == (["a"], 7, None)
    assert key[12:] not in aivax_here("keys", "list", cwd=root).out


def test_a_key_for_a_gateway_that_is_not_there_is_not_made(root):
    done = aivax_here("keys", "new", "typo", "--gateway", "bb", cwd=root)
    assert (done.code, "did you mean 'b'?" in done.err) == (2, True)


def test_revoking_the_last_key_opens_nothing(tmp_path, upstream):
    gateway(tmp_path, upstream, "a")
    aivax_here("keys", "new", "only", cwd=tmp_path)
    aivax_here("keys", "revoke", "only", cwd=tmp_path)
    with served(tmp_path) as server:
        assert ask(server).status_code == 401


def test_another_host_than_this_machine_needs_keys(tmp_path, upstream):
    gateway(tmp_path, upstream, "a")
    done = aivax_here("serve", "--host", "0.0.0.0", "--port", "0", cwd=tmp_path)
    assert (done.code, "aivax keys new NAME" in done.err) == (2, True)


def test_a_damaged_key_file_lets_nobody_in(tmp_path, upstream):
    gateway(tmp_path, upstream, "a")
    (tmp_path / ".aivax").mkdir()
    (tmp_path / ".aivax" / "keys.db").write_bytes(b"not a database" * 100)
    with served(tmp_path) as server:
        assert ask(server).status_code == 503


@pytest.fixture(scope="module")
def keyless(tmp_path_factory, upstream):
    root = tmp_path_factory.mktemp("keyless")
    (root / "secret.yaml").write_text("password: hunter2\n")
    gateway(root, upstream, "a", more=f"instructions: {INSTRUCTIONS}\n")
    with served(root, env={"UPSTREAM_KEY": "sk-upstream-secret-1"}) as server:
        yield server


def test_this_machine_needs_no_key_while_there_is_none(keyless):
    assert ask(keyless).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"host": "evil.example:8765"},
        {"host": "127.0.0.1.evil.example"},
    ],
)
def test_pages_of_other_sites_get_nothing_from_a_server_without_keys(keyless, headers):
    assert keyless.post(ASKED, headers=headers).status_code == 403


def test_a_body_over_the_limit_is_not_read(keyless):
    found = keyless.post({**ASKED, "prompt": "x" * (33 * 1024 * 1024)})
    assert found.status_code == 413


@pytest.mark.parametrize(
    "model",
    ["../secret", "gateways/a.yaml", "../../etc/passwd", "/etc/passwd", "a\x00", "secret.yaml", "_a", "*"],
)
def test_a_models_name_is_no_path(keyless, model):
    found = keyless.post({**ASKED, "model": model})
    assert (found.status_code, "hunter2" in found.text) == (404, False)


@pytest.mark.parametrize(
    "name", ["..%2f..%2fetc%2fpasswd", "%2e%2e/secret.yaml", "a%00", "a%0d%0ax-bad:%201"]
)
def test_a_models_name_in_a_path_is_no_path(keyless, name):
    found = keyless.get(f"/v1/models/{name}")
    assert (found.status_code, "x-bad" in found.headers) == (404, False)


@pytest.mark.parametrize("field", ["model", "idempotency_key"])
def test_line_breaks_in_a_field_make_no_header(keyless, field):
    found = keyless.post({**ASKED, field: "a\r\nx-bad: 1"})
    assert "x-bad" not in found.headers


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/a.png", "https://evil.example/a.png", "file:///etc/passwd", "ftp://x/y"]
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_addresses_in_a_message_are_not_fetched(keyless, upstream, path, url):
    part = {
        "/v1/chat/completions": {"type": "image_url", "image_url": {"url": url}},
        "/v1/responses": {"type": "input_image", "image_url": url},
        "/v1/messages": {"type": "image", "source": {"type": "url", "url": url}},
    }[path]
    asked = len(upstream.requests)
    message = {"role": "user", "content": [part]}
    found = keyless.post({"model": "a", "messages": [message], "input": [message], "max_tokens": 5}, path)
    assert (found.status_code, len(upstream.requests)) == (400, asked)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("stream", [False, True])
def test_instructions_are_in_no_answer(keyless, path, stream):
    body = {"model": "a", "messages": [{"role": "user", "content": "Hi"}], "input": "Hi", "max_tokens": 5}
    found = keyless.post({**body, "stream": stream}, path)
    assert (found.status_code, ANSWER in found.text, INSTRUCTIONS in found.text) == (200, True, False)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_an_endpoints_words_on_its_key_are_not_passed_on(keyless, upstream, path):
    upstream.answers(status(401, f"Incorrect API key provided: sk-upstream-secret-1, at {upstream.url}"))
    body = {"model": "a", "messages": [{"role": "user", "content": "Hi"}], "input": "Hi", "max_tokens": 5}
    found = keyless.post(body, path)
    assert found.status_code == 502
    assert "secret" not in found.text and str(upstream.port) not in found.text


def test_a_key_is_noted_with_its_turns(running, new_key, root):
    key = new_key()
    ask(running, key)
    with sqlite3.connect(root / ".aivax" / "ledger.db") as db:
        rows = db.execute(
            "SELECT count(*) FROM turn_metadata WHERE key = 'aivax.key' AND value = ?", (key[4:12],)
        )
        assert rows.fetchone() == (1,)
