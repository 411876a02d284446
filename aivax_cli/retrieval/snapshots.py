"""placeholder"""

from __future__ import annotations
from pathlib import Path
from aivax_cli.retrieval.catalogue import Catalogue
from aivax_cli.retrieval.records import Collection


def sync_snapshot(catalogue: Catalogue, collection: Collection, directory: Path) -> None:
    """Nothing yet."""
