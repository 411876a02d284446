"""A gateway's tools, opened for a test, and the servers that the tests bring along."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from aivax_cli.core.types import ToolCall, ToolOutcome
from aivax_cli.gateway.sections import HttpTool, McpTools
from aivax_cli.tools.box import GatewayTools
from aivax_cli.tools.offers import Approve

T = TypeVar("T")

SDK_SERVER = [sys.executable, str(Path(__file__).with_name("mcp_tools.py"))]
"""A server written with the SDK."""


def raw_server(mode: str) -> list[str]:
    """The command of a server that does what `mode` says; see `raw_mcp.py`."""
    return [sys.executable, str(Path(__file__).with_name("raw_mcp.py")), mode]


class Tools:
    """A box of tools with an event loop of its own; both end with the `with` block."""

    def __init__(
        self,
        *tools: McpTools | HttpTool,
        root: Path = Path("/"),
        environ: Mapping[str, str] = os.environ,
        approve: Approve | None = None,
    ) -> None:
        self._runner = asyncio.Runner()
        self._arguments = (tools, environ, root, approve)
        self.box = self.wait(self._opened())

    async def _opened(self) -> GatewayTools:
        tools, environ, root, approve = self._arguments
        return GatewayTools(tools, environ=environ, root=root, approve=approve)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    @property
    def names(self) -> list[str]:
        return [offer.spec.name for offer in self.wait(self.box.offers())]

    def run(self, name: str, arguments: Mapping[str, Any] | str | None = None) -> ToolOutcome:
        text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
        return self.wait(self.box.run(ToolCall("call_1", name, text)))

    def __enter__(self) -> Tools:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wait(self.box.aclose())
        self._runner.close()


def is_running(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be buried."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return not Path("/proc").is_dir()
    return state != "Z"
