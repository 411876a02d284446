"""The README's tour: its commands, run in a copy of the repository's workspace, and what they print.

`python tests/support/readme.py` writes the outputs into the READMEs anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGES = ("README.md", "README.pt-BR.md")

_BLOCK = re.compile(r"(<!-- run -->\n```console\n\$ )([^\n]+)\n(.*?)(```)", re.DOTALL)
_VARYING = re.compile(
    r"\d{1,3}(?:,\d{3})+"
    r"|\d[\d,.]*(?= (?:s|tokens/s|chunks/s|documents?|chunks|tokens|added)\b)"
    r"|^0\.\d\d\b|\b0\.\d\d$"
    r"|─+"
)
_RUN_S = 900


def workspace(root: Path) -> None:
    """Copies what the tour works on to `root`."""
    for folder in ("docs", "gateways", "collections"):
        shutil.copytree(REPOSITORY / folder, root / folder)


def tour(page: str) -> Iterator[tuple[str, str]]:
    """Each command of a page with the output printed below it."""
    for found in _BLOCK.finditer(page):
        yield found[2], found[3]


def run(command: str, root: Path, cache: str) -> str:
    """What a command prints, on both streams, one after the other. Raises when it fails."""
    environ = {**os.environ, "COLUMNS": "110", "NO_COLOR": "1", "AIVAX_CACHE_DIR": cache, "HOME": str(root)}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    done = subprocess.run(
        command,
        shell=True,
        cwd=root,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=_RUN_S,
        check=True,
    )
    lines = (line.rstrip() for line in done.stdout.strip("\n").splitlines())
    return "\n".join(line for line in lines if not line.startswith("downloading ")).strip("\n") + "\n"


def comparable(output: str) -> list[str]:
    """Lines without what differs from run to run: times, speeds, counts, rules of tables."""
    return [" ".join(_VARYING.sub("#", line).split()) for line in output.splitlines() if line.strip()]


def renew(cache: str) -> None:
    """Writes every output of the tours anew."""
    for name in PAGES:
        file = REPOSITORY / name
        with tempfile.TemporaryDirectory() as folder:
            workspace(Path(folder))
            page = _BLOCK.sub(partial(_renewed, Path(folder), cache), file.read_text("utf-8"))
        file.write_text(page, encoding="utf-8")


def _renewed(root: Path, cache: str, found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}\n{run(found[2], root, cache)}{found[4]}"


if __name__ == "__main__":
    from aivax_cli.assets.store import default_cache_dir

    renew(str(default_cache_dir(os.environ)))
