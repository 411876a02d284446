"""The files that a user added: one small JSON file each, so that they are known by name later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from aivax_cli.assets.config import masked
from aivax_cli.assets.table import Asset, LocalFile, Url


class PulledList(Struct, frozen=True):
    """The folder of those files."""

    folder: Path

    def get(self, name: str) -> Asset | None:
        """The asset of that name, None when there is none or its file is damaged."""
        return _read(self.folder / f"{name}.json")

    def all(self) -> Iterator[Asset]:
        for file in sorted(self.folder.glob("*.json")):
            asset = _read(file)
            if asset is not None:
                yield asset

    def add(self, asset: Asset) -> None:
        """Keeps the asset; credentials in its address are not kept."""
        source = asset.sources[0]
        place = {"url": masked(source.url)} if isinstance(source, Url) else {"path": _path(source)}
        entry = {
            "name": asset.name,
            "file_name": asset.file_name,
            "size_bytes": asset.size_bytes,
            "sha256": asset.sha256,
            **place,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f"{asset.name}.json.part"
        unfinished.write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(self.folder / f"{asset.name}.json")


def _path(source: object) -> str:
    return source.path if isinstance(source, LocalFile) else ""


def _read(file: Path) -> Asset | None:
    try:
        entry = json.loads(file.read_text(encoding="utf-8"))
        source = Url(entry["url"]) if "url" in entry else LocalFile(entry["path"])
        return Asset(
            name=entry["name"],
            file_name=entry["file_name"],
            size_bytes=entry["size_bytes"],
            sha256=entry["sha256"],
            licence="",
            sources=(source,),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
