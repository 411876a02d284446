"""Whether the Chroma server of `store:` answers."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from aivax_cli.cli.diagnosis import Finding, Patient, ok, warning

_WAIT_S = 5.0


def store_check(patient: Patient) -> Iterator[Finding]:
    """Whether somebody answers where the vectors are indexed. No key is sent.

    What does not answer is no error: searches have the catalogue.
    """
    if patient.workspace is None:
        return
    from aivax_cli.retrieval.chroma import ChromaFailedError
    from aivax_cli.retrieval.chroma_server import ChromaServer
    from aivax_cli.wiring import vector_server

    address = vector_server(patient.workspace, patient.environ)
    if address is None:
        return
    if address.problem is not None:
        yield warning(f"{address.url}: {address.problem}", f"export {address.token_source}=…")
    if patient.offline:
        yield ok(f"{address.url}: not asked, because AIVAX_OFFLINE is set")
        return
    fix = f"start it, or correct store: in {patient.workspace.shown(patient.workspace.settings_file)}"
    try:
        server = ChromaServer(replace(address, token=None, problem=None), wait_s=_WAIT_S)
        try:
            server.heartbeat()
        finally:
            server.close()
    except ChromaFailedError as error:
        yield warning(f"{address.url}: {error}; searches do without it", fix)
        return
    place = f"tenant {address.tenant}, database {address.database}"
    yield ok(f"{address.url} answers; vectors go to {place}")
