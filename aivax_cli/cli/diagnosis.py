"""What `aivax doctor` finds, and what it looks at: shared by its checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from aivax_cli.core.types import ModelTarget
    from aivax_cli.gateway.workspace import Workspace

Status = Literal["ok", "warning", "error"]


class Finding(Struct, frozen=True):
    """One line of the diagnosis. A warning will do for now; an error keeps something from working."""

    status: Status
    detail: str
    fix: str | None = None


class Patient(Struct, frozen=True):
    """What is examined. `targets` are the models that the workspace's sound gateways call, each once."""

    directory: Path
    environ: Mapping[str, str]
    cache_dir: Path
    offline: bool
    verify: bool
    workspace: Workspace | None
    targets: tuple[ModelTarget, ...]

    @property
    def root(self) -> Path | None:
        """The workspace's folder, where there is one."""
        return self.workspace.root if self.workspace else None


Check = Callable[[Patient], Iterable[Finding]]


def ok(detail: str) -> Finding:
    return Finding("ok", detail)


def warning(detail: str, fix: str | None = None) -> Finding:
    return Finding("warning", detail, fix)


def error(detail: str, fix: str | None = None) -> Finding:
    return Finding("error", detail, fix)


def counted(count: int, thing: str) -> str:
    """`1 document`, `1,200 documents`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def size(count: int) -> str:
    """Bytes for people, in decimal units as disks are sold: `491.4 MB`."""
    if count < 1000:
        return counted(count, "byte")
    value, unit = count / 1e3, "kB"
    for larger in ("MB", "GB"):
        if round(value, 1) >= 1000:
            value, unit = value / 1000, larger
    return f"{value:.1f} {unit}"
