"""What the shell offers when Tab is pressed: names in the workspace where the person stands.

Told from the names of files and one look into a database, so that Tab answers at once. Whatever goes wrong,
there is nothing to offer: a shell that waits for a word is no place for an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import typer

from aivax_cli.core.errors import AivaxError
from aivax_cli.gateway.places import definition_files, find_root, gateway_files, state_dir
from aivax_cli.render.safe_text import safe_line

_MODEL = re.compile(r"@[\w.-]+/[\w./:@-]+")
_MOST_CONVERSATIONS = 50


def gateway_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Gateways, by the names of their files."""
    root = _root(ctx)
    return _begin((file.stem for file in gateway_files(root)), incomplete) if root else []


def collection_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Collections that have a definition or that something was ingested into."""
    root = _root(ctx)
    if root is None:
        return []
    defined = [file.stem for file in definition_files(root / "collections")]
    return _begin(sorted({*defined, *_ingested(state_dir(root))}), incomplete)


def model_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """The models that the workspace's gateways name, and those that are run here."""
    root = _root(ctx)
    files = definition_files(root / "gateways") if root else []
    named = {found for file in files for found in _MODEL.findall(_text(file))}
    return _begin(sorted({*named, *(f"@local/{name}" for name in _local_models())}), incomplete)


def local_model_names(incomplete: str) -> list[str]:
    """The models that `models pull` fetches by name."""
    return _begin(_local_models(), incomplete)


def conversation_ids(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The latest conversations that are kept, each with its title."""
    from aivax_cli.conversations.log import ConversationLog

    root = _root(ctx)
    if root is None:
        return []
    try:
        with closing(ConversationLog(state_dir(root))) as log:
            found = [(each.id, safe_line(each.title)) for each in log.list(limit=_MOST_CONVERSATIONS)]
    except AivaxError:
        return []
    return [each for each in found if each[0].startswith(incomplete.lower())]


def _root(ctx: typer.Context) -> Path | None:
    given = ctx.find_root().params.get("directory")
    try:
        return find_root(Path(given) if given else Path.cwd())
    except (AivaxError, OSError):
        return None


def _ingested(folder: Path) -> list[str]:
    import sqlite3

    try:
        with closing(sqlite3.connect(f"{(folder / 'catalogue.db').as_uri()}?mode=ro", uri=True)) as database:
            return [name for (name,) in database.execute("SELECT name FROM collections")]
    except sqlite3.Error:
        return []


def _local_models() -> list[str]:
    from aivax_cli.assets.table import ASSETS

    return [asset.name for asset in ASSETS.values() if asset.file_name.endswith(".gguf")]


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _begin(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
