"""Which collections on a server this workspace has made, and may remove there."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aivax_cli.retrieval.chroma_server import ServerAddress

JOURNAL_FILE = "store.json"


class Journal:
    """The workspace's list, in its `.aivax`. Whoever writes it holds the write lock. Raises OSError."""

    def __init__(self, directory: Path, address: ServerAddress) -> None:
        self._path = directory / JOURNAL_FILE
        self._place = [address.url, address.tenant, address.database]

    def made(self) -> dict[str, tuple[str, ...]]:
        """The collections on this server, each with the revisions that it was given last."""
        return {
            entry["name"]: tuple(entry["revisions"])
            for entry in self._entries()
            if entry["place"] == self._place
        }

    def note(self, name: str, revisions: Sequence[str]) -> None:
        """Remembers a collection, before it is made or changed."""
        self._write([*self._others(name), {"place": self._place, "name": name, "revisions": [*revisions]}])

    def forget(self, name: str) -> None:
        """Forgets a collection that is no longer this workspace's."""
        self._write(self._others(name))

    def _others(self, name: str) -> list[dict[str, Any]]:
        return [each for each in self._entries() if (each["place"], each["name"]) != (self._place, name)]

    def _entries(self) -> list[dict[str, Any]]:
        try:
            entries = json.loads(self._path.read_text(encoding="utf-8"))
            return [each for each in entries if {"place", "name", "revisions"} <= each.keys()]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, AttributeError):
            return []  # damaged: collections of which it knew stay on the server

    def _write(self, entries: list[dict[str, Any]]) -> None:
        part = self._path.with_suffix(f".{os.getpid()}.part")
        try:
            part.write_text(json.dumps(entries, indent=1), encoding="utf-8")
            part.replace(self._path)
        finally:
            part.unlink(missing_ok=True)
