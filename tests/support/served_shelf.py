"""A workspace with a collection whose vectors come from an endpoint of the test: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

from support.in_process import aivax_here
from support.knowledge import write_files
from support.upstream import Upstream

FILES = {
    "docs/cats.md": "Cats sleep twelve hours a day.",
    "docs/tides.md": "The tide turns every six hours at the pier.",
}


def fill(root: Path, embedder: Upstream, *, name: str = "kb") -> None:
    """Makes the collection, and ingests `FILES` into it."""
    model = f"{{base_url: {embedder.url}, name: small-embed}}"
    write_files(root, {**FILES, f"collections/{name}.yaml": f"embedder:\n  model: {model}\n"})
    (root / "gateways").mkdir(exist_ok=True)
    done = aivax_here("ingest", "docs", "--collection", name, cwd=root)
    assert done.code == 0, done.err
