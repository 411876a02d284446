"""Workspaces in a temporary folder, with gateways that are sound unless a test wants them broken."""

from __future__ import annotations

from pathlib import Path


def gateway_id(number: int) -> str:
    """A UUIDv7; each number has its own."""
    return f"0199c3f0-0000-7000-8000-{number:012x}"


def write_gateway(workspace: Path, name: str, model: str, *, number: int = 1, more: str = "") -> Path:
    """`gateways/NAME.yaml`; `model` is YAML, `more` further lines."""
    folder = workspace / "gateways"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.yaml"
    file.write_text(f"id: {gateway_id(number)}\nname: {name}\nmodel: {model}\n{more}", encoding="utf-8")
    return file
