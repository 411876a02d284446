"""The playground: one page without anything from elsewhere, which may run its own script and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

_INLINE: Final = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


class Playground(Struct, frozen=True):
    """The page, read once, and the headers it is sent with."""

    page: bytes
    policy: str

    @classmethod
    def load(cls) -> Playground:
        """The page of this package."""
        text = files("aivax_cli.server").joinpath("playground.html").read_text("utf-8")
        return cls(text.encode(), content_policy(text))

    def routes(self) -> list[BaseRoute]:
        """The route, for the application's list."""
        from starlette.routing import Route

        return [Route("/", self.show)]

    async def show(self, request: Request) -> Response:
        """The page."""
        from starlette.responses import HTMLResponse

        del request
        headers = {
            "content-security-policy": self.policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-cache",
        }
        return HTMLResponse(self.page, headers=headers)


def content_policy(page: str) -> str:
    """The Content-Security-Policy of a page: its own inline script and style by their hashes, and requests
    to the server that it came from. Nothing is loaded, embedded or sent anywhere else. Pure."""
    hashes = {kind: " ".join(_hashes(page, kind)) for kind in ("script", "style")}
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {hashes['script']}",
            f"style-src {hashes['style']}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _hashes(page: str, kind: str) -> Iterator[str]:
    for found in _INLINE.finditer(page):
        if found[1] == kind:
            yield f"'sha256-{base64.b64encode(hashlib.sha256(found[2].encode()).digest()).decode()}'"
