"""`aivax doctor`: what is installed, found and reachable, and how to mend what is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from aivax_cli.cli import doctor_machine, doctor_store, doctor_tools, doctor_workspace
from aivax_cli.cli.command import Session
from aivax_cli.cli.completing import collection_names
from aivax_cli.cli.diagnosis import Check, Finding, Patient, Status, error
from aivax_cli.cli.workspace_models import embedders_of, models_of
from aivax_cli.core.errors import AivaxError, UsageError

if TYPE_CHECKING:
    from aivax_cli.core.types import ModelTarget
    from aivax_cli.gateway.workspace import Workspace
    from aivax_cli.render.screen import Screen

CHECKS: dict[str, Check] = {
    "Python": doctor_machine.python_check,
    "packages": doctor_machine.packages_check,
    "SQLite": doctor_machine.sqlite_check,
    "chromadb": doctor_machine.chromadb_check,
    "onnxruntime": doctor_machine.onnxruntime_check,
    "local engine": doctor_machine.local_engine_check,
    "downloads": doctor_machine.downloads_check,
    "disk": doctor_machine.disk_check,
    "workspace": doctor_workspace.workspace_check,
    "collections": doctor_workspace.collections_check,
    "store": doctor_store.store_check,
    "keys": doctor_workspace.keys_check,
    "endpoints": doctor_workspace.endpoints_check,
    "tools": doctor_tools.tools_check,
    "ledger": doctor_workspace.ledger_check,
}
"""In the order in which they are shown. Each yields nothing when it has nothing to look at."""

_PARTS = ("catalogue", "words", "vectors", "Chroma", "files")
"""What is examined of a collection."""
_MARKS: dict[Status, tuple[str, str, str]] = {
    "ok": ("✓", "+", "green"),
    "warning": ("!", "!", "yellow"),
    "error": ("✗", "x", "red"),
}


def doctor(
    session: Session,
    verify: Annotated[
        bool, typer.Option("--verify", help="Also compute the SHA-256 of every downloaded file again.")
    ] = False,
    collection: Annotated[
        str | None,
        typer.Option(
            "--collection",
            "-c",
            help="Verify this collection instead of the machine.",
            autocompletion=collection_names,
        ),
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is wrong with the collection.")] = False,
) -> None:
    """Check this machine; each problem with its fix.

    Exits with 1 when something is broken (✗). What will do for now (!) is no failure. No key is shown, and
    none is sent anywhere.

    `aivax doctor --collection kb` verifies one collection instead: its words, vectors and Chroma index
    against its catalogue, and that against the files.
    """
    screen = session.screen
    told: list[dict[str, object]] = []
    broken = 0
    if collection is not None:
        findings = _collection_findings(session, collection, repair=repair)
    elif repair:
        raise UsageError("what is to be repaired?", fix="name it: aivax doctor --collection NAME --repair")
    else:
        findings = _findings(_patient(session, verify=verify))
    for name, finding in findings:
        broken += finding.status == "error"
        told.append({"check": name, "status": finding.status, "detail": finding.detail, "fix": finding.fix})
        if not screen.json_output:
            _show(screen, name, finding)
    if screen.json_output:
        screen.data({"ok": not broken, "findings": told})
    if broken:
        raise typer.Exit(1)


def _collection_findings(session: Session, name: str, *, repair: bool) -> Iterator[tuple[str, Finding]]:
    from aivax_cli.cli.doctor_collection import repair_collection, verify_collection
    from aivax_cli.gateway.workspace import find_workspace

    workspace = find_workspace(session.directory)
    if repair:
        return repair_collection(workspace, name, session.screen.note)
    return verify_collection(workspace, name)


def _patient(session: Session, *, verify: bool) -> Patient:
    from aivax_cli.assets.offline import is_offline
    from aivax_cli.assets.store import default_cache_dir
    from aivax_cli.gateway.workspace import find_workspace

    environ = dict(os.environ)
    workspace: Workspace | None = None
    targets: tuple[ModelTarget, ...] = ()
    # What is wrong with them is told by the checks.
    with suppress(AivaxError):
        workspace = find_workspace(session.directory)
        targets = (*(target for target, _ in models_of(workspace)), *embedders_of(workspace))
    return Patient(
        directory=session.directory,
        environ=environ,
        cache_dir=default_cache_dir(environ),
        offline=is_offline(environ),
        verify=verify,
        workspace=workspace,
        targets=targets,
    )


def _findings(patient: Patient) -> Iterator[tuple[str, Finding]]:
    """Every check's findings in order. They run side by side, because some wait for a network."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=4) as pool:
        running = [(name, pool.submit(_examine, check, patient)) for name, check in CHECKS.items()]
        for name, future in running:
            for finding in future.result():
                yield name, finding


def _examine(check: Check, patient: Patient) -> list[Finding]:
    """What a check finds; its own failure is a finding too, and never stops the others."""
    findings: list[Finding] = []
    try:
        for finding in check(patient):
            findings.append(finding)
    except AivaxError as problem:
        findings.append(error(problem.message, problem.fix))
    except PermissionError as problem:
        findings.append(error(f"{problem.filename}: permission denied", "check its permissions"))
    except Exception as problem:  # noqa: BLE001  # a diagnosis must go on whatever is broken
        findings.append(error(f"the check itself failed: {type(problem).__name__}: {problem}"))
    return findings


def _show(screen: Screen, name: str, finding: Finding) -> None:
    """A finding with its fix below it: wrapped under itself for a person, one line each for a pipe."""
    fancy, plain, colour = _MARKS[finding.status]
    unicode = screen.out.encoding.lower().startswith("utf")
    mark, arrow = (fancy, "→") if unicode else (plain, "->")
    width = max(len(screen.words(each)) for each in (*CHECKS, *_PARTS))
    name, detail = screen.words(name), screen.words(finding.detail)
    fix = screen.words(finding.fix or "")
    if not screen.out.is_terminal:
        screen.write(f"{mark} {name:<{width}}  {detail}\n")
        if fix:
            screen.write(f"  {'':<{width}}  {arrow} {fix}\n")
        return
    from rich.table import Table
    from rich.text import Text

    line = Table.grid(padding=(0, 1))
    line.add_column(width=1)
    line.add_column(width=width)
    line.add_column(overflow="fold")
    line.add_row(Text(mark, f"bold {colour}"), name, Text(detail))
    if fix:
        line.add_row("", "", Text(f"{arrow} {fix}", "dim"))
    screen.show(line)
