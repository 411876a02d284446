"""The tools of a workspace's gateways: one box for each gateway that has any, closed with the workspace."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from aivax_cli.gateway.definition import Gateway
    from aivax_cli.tools.box import GatewayTools
    from aivax_cli.tools.offers import Approve


class ToolBoxes:
    """Boxes by gateway. A gateway whose tools were changed gets a new box, and the old one is closed.

    Commands run in `root`. `approve` asks a person about tools with `confirm`.
    """

    def __init__(self, root: Path, environ: Mapping[str, str], approve: Approve | None) -> None:
        self._root = root
        self._environ = environ
        self._approve = approve
        self._boxes: dict[str, tuple[Gateway, GatewayTools]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, gateway: Gateway) -> GatewayTools | None:
        """The gateway's box, None when it has no tools. Starts nothing. Needs a running event loop."""
        known = self._boxes.get(gateway.id)
        if known is not None and known[0].tools == gateway.tools:
            return known[1]
        if known is not None:
            del self._boxes[gateway.id]
            closing = asyncio.get_running_loop().create_task(known[1].aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        if not gateway.tools:
            return None
        from aivax_cli.tools.box import GatewayTools

        box = GatewayTools(gateway.tools, environ=self._environ, root=self._root, approve=self._approve)
        self._boxes[gateway.id] = (gateway, box)
        return box

    async def aclose(self) -> None:
        """Closes every box."""
        boxes = [box for _, box in self._boxes.values()]
        self._boxes.clear()
        await asyncio.gather(*self._closing, *(box.aclose() for box in boxes))
