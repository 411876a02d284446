"""Where the things of a workspace are, told from names alone: nothing is read, nothing heavy is loaded."""

from __future__ import annotations

from pathlib import Path

from aivax_cli.core.errors import UsageError

SETTINGS_FILE = "aivax.yaml"
DEFINITION_ENDINGS = (".yaml", ".yml")


def find_root(start: Path) -> Path:
    """The root of the workspace that holds `start`: the nearest folder, going up, with `gateways/` or
    `aivax.yaml`. Raises UsageError when there is none."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "gateways").is_dir() or (folder / SETTINGS_FILE).is_file():
            return folder
    raise UsageError(f"no workspace in {start} or above it", fix="make one: aivax init")


def state_dir(root: Path) -> Path:
    """What aivax keeps of a workspace: indexes, the ledger, conversations. Never in version control."""
    return root / ".aivax"


def definition_files(folder: Path) -> list[Path]:
    """The YAML files directly in a folder, by name; hidden ones are none."""
    if not folder.is_dir():
        return []
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.suffix in DEFINITION_ENDINGS and not entry.name.startswith(".") and not entry.is_dir()
    )


def is_base_only(file: Path) -> bool:
    """Whether a file in `gateways/` is there to be extended and nothing else."""
    return file.name.startswith("_")


def gateway_files(root: Path) -> list[Path]:
    """Every gateway file of a workspace, sound or not, by name; what is only a base is none."""
    return [file for file in definition_files(root / "gateways") if not is_base_only(file)]
