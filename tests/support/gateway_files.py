"""Gateway files to check, and their faults as a person reads them."""

from __future__ import annotations

import re
from pathlib import Path

from aivax_cli.gateway.workspace import Workspace

ID = "0198683a-2b6d-7066-9598-6ea119c250c3"
HEAD = f'id: {ID}\nname: support\nmodel: "@openai/gpt-5-mini"\n'


def faults(root: Path, text: str | bytes) -> list[str]:
    """The faults of `gateways/support.yaml` with this text, without its path; fresh ids as `<new id>`."""
    folder = root / "gateways"
    folder.mkdir(exist_ok=True)
    (folder / "support.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    found = [str(fault) for fault in Workspace(root).validate_all()]
    here = "gateways/support.yaml:"
    assert all(line.startswith(here) for line in found)
    unused = re.compile(r"(?<=unused: )'[0-9a-f-]{36}'")
    return [unused.sub("<new id>", line.removeprefix(here)) for line in found]
