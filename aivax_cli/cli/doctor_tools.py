"""The check of `aivax doctor` on the gateways' tools. Nothing is started, and nothing called."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aivax_cli.cli.diagnosis import Finding, Patient, ok, warning
from aivax_cli.cli.workspace_models import sound_gateways

if TYPE_CHECKING:
    from aivax_cli.gateway.sections import HttpTool, McpTools


def tools_check(patient: Patient) -> Iterator[Finding]:
    """Whether the commands of tool servers are installed, and the variables that tools need are set."""
    if patient.workspace is None:
        return
    told: set[str] = set()
    for gateway in sound_gateways(patient.workspace):
        for tool in gateway.definition.tools:
            for finding in _findings(tool, patient):
                if finding.detail not in told:
                    told.add(finding.detail)
                    yield finding


def _findings(tool: McpTools | HttpTool, patient: Patient) -> Iterator[Finding]:
    command = getattr(tool, "mcp", None)
    variables = [*getattr(tool, "env", ()), *filter(None, (tool.api_key_env,))]
    missing = [name for name in variables if not patient.environ.get(name)]
    for name in missing:
        yield warning(f"the environment variable {name} is not set", f"set it: export {name}=…")
    if isinstance(command, list):
        program = command[0]
        if shutil.which(program, path=patient.environ.get("PATH")) is None:
            yield warning(f"the command '{program}' is not installed", "install it, or write its whole path")
        elif not missing:
            yield ok(f"the command '{program}' is installed")
