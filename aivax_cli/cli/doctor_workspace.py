"""The checks of `aivax doctor` on the workspace: definitions, collections, keys, endpoints, ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aivax_cli.cli.diagnosis import Finding, Patient, counted, error, ok, warning
from aivax_cli.cli.workspace_models import sound_gateways
from aivax_cli.core.errors import AivaxError, KeyMissingError

if TYPE_CHECKING:
    from aivax_cli.core.types import ModelTarget
    from aivax_cli.gateway.workspace import Workspace
    from aivax_cli.retrieval.records import Collection, CollectionSummary

_ENDPOINT_TIMEOUT_S = 4.0

_STARTS = {
    "ollama": "start it: ollama serve",
    "lmstudio": "start the server in LM Studio",
}


def workspace_check(patient: Patient) -> Iterator[Finding]:
    """A workspace with gateways, all of them sound."""
    workspace = patient.workspace
    if workspace is None:
        yield warning(f"none in {patient.directory} or above it", "make one: aivax init")
        return
    files = workspace.gateway_files()
    faults = workspace.validate_all()
    broken = {fault.file for fault in faults}
    if faults:
        yield Finding(
            "error", f"{workspace.root}: {counted(len(broken), 'file')} with faults", "mend these lines:"
        )
        for fault in faults:
            yield error(str(fault))
    elif not files:
        yield warning(f"{workspace.root}: no gateway", "make one: aivax gateways new NAME")
    else:
        yield ok(f"{workspace.root}: {counted(len(files), 'gateway')}")


def collections_check(patient: Patient) -> Iterator[Finding]:
    """What is indexed, and whether every gateway's collections are."""
    from aivax_cli.retrieval.catalogue import Catalogue

    workspace = patient.workspace
    if workspace is None:
        return
    filled: set[str] = set()
    catalogue = Catalogue.open(workspace.state_dir)
    if catalogue is not None:
        try:
            with catalogue.reading() as reader:
                for collection in reader.collections():
                    filled.add(collection.name)
                    yield _collection(patient, workspace, collection, reader.summary(collection))
        finally:
            catalogue.close()
    for name, users in sorted(_wanted(workspace).items()):
        if name not in filled:
            detail = f"{name}: nothing ingested, but used by {', '.join(users)}"
            yield error(detail, _ingest(workspace, name))


def _collection(
    patient: Patient, workspace: Workspace, collection: Collection, summary: CollectionSummary
) -> Finding:
    from aivax_cli.retrieval.search import other_embedder
    from aivax_cli.wiring import asset_store, collection_embedder

    told = (
        f"{summary.name}: {counted(summary.documents, 'document')}, {counted(summary.chunks, 'chunk')},"
        f" embedded by {summary.embedder}"
    )
    store = asset_store(patient.environ)
    embedder = collection_embedder(workspace, collection.name, store, patient.environ)
    if collection.embedder.fingerprint != embedder.fingerprint:
        fault = other_embedder(collection, summary.sources, embedder.name)
        return error(fault.message, fault.fix)
    if summary.pending_documents:
        waiting = f"{counted(summary.pending_documents, 'document')} without vectors yet"
        return warning(f"{told}; {waiting}", f"aivax ingest --collection {summary.name}")
    if not summary.documents:
        return warning(f"{summary.name}: empty", _ingest(workspace, summary.name))
    return ok(told)


def _ingest(workspace: Workspace, name: str) -> str:
    """The command that fills a collection; one with sources of its own needs no folder."""
    sources: Sequence[str] = ()
    with suppress(AivaxError):
        sources = workspace.collection_definition(name).sources
    return f"aivax ingest --collection {name}" if sources else f"aivax ingest FOLDER --collection {name}"


def _wanted(workspace: Workspace) -> dict[str, list[str]]:
    """The collections that gateways name, and which gateways."""
    wanted: dict[str, list[str]] = {}
    for gateway in sound_gateways(workspace):
        knowledge = gateway.definition.knowledge
        for name in knowledge.collections if knowledge else ():
            wanted.setdefault(name, []).append(gateway.definition.name)
    return wanted


def keys_check(patient: Patient) -> Iterator[Finding]:
    """Whether the keys are where they should be. What they are is never shown, and no command is run."""
    import shutil

    from aivax_cli.model.keys import program_of, resolve_key

    told = set()
    for target in patient.targets:
        source = (target.api_key_command, target.api_key_env)
        if source in told or source == (None, None):
            continue
        told.add(source)
        if target.api_key_command:
            program = target.api_key_command[0]
            found = program_of(target.api_key_command, patient.root)
            if shutil.which(found, path=patient.environ.get("PATH")):
                yield ok(f"{target.label}: from the command '{program}', not run now")
            else:
                yield error(f"{target.label}: no command '{program}'", "install it, or mend api_key_command")
            continue
        try:
            resolve_key(target, patient.environ)
            yield ok(f"{target.api_key_env} is set, for {target.label}")
        except KeyMissingError as missing:
            # Other gateways work all the same: a key that is missing breaks one of them, not the machine.
            yield warning(missing.message, missing.fix)


def endpoints_check(patient: Patient) -> Iterator[Finding]:
    """Whether somebody answers where the gateways' models are; 401 is an answer, no key is sent."""
    import httpx

    bases: dict[str, ModelTarget] = {}
    for target in patient.targets:
        if target.base_url:
            bases.setdefault(target.base_url, target)
    if bases and patient.offline:
        yield ok("not asked, because AIVAX_OFFLINE is set")
        return
    for base_url, target in bases.items():
        host = urlsplit(base_url).netloc.rpartition("@")[2]
        try:
            answer = httpx.get(f"{base_url}/models", timeout=_ENDPOINT_TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            reason = str(failure) or type(failure).__name__
            fix = _STARTS.get(target.provider, "check the address, the network and any proxy")
            yield warning(f"{host} cannot be reached, for {target.label}: {reason}", fix)
            continue
        if answer.status_code >= 500:
            yield warning(f"{host} answers {answer.status_code}, for {target.label}", "try again later")
        else:
            yield ok(f"{host} answers, for {target.label}")


def ledger_check(patient: Patient) -> Iterator[Finding]:
    """Whether the ledger of charges is sound."""
    from aivax_cli.usage.ledger import LEDGER_FILE, SqliteLedger

    if patient.workspace is None:
        return
    with SqliteLedger(patient.workspace.state_dir / LEDGER_FILE) as ledger:
        charges = ledger.check()
    yield ok(counted(charges, "charge") if charges else "no charges yet")
