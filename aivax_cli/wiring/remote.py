"""Where a gateway's instructions from elsewhere come from, and where they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace
    from aivax_cli.model.remote_text import RemoteSource, RemoteTexts


def remote_texts(workspace: Workspace, environ: Mapping[str, str]) -> RemoteTexts:
    """The workspace's copies of texts from elsewhere. Fetches nothing by itself."""
    from aivax_cli.assets.offline import is_offline
    from aivax_cli.model.remote_text import RemoteTexts

    return RemoteTexts(workspace.state_dir / "remote", offline=is_offline(environ))


def remote_sources(gateway: LoadedGateway) -> list[RemoteSource]:
    """The gateway's sources; messages name each as its file does, or without what may be secret in it."""
    from aivax_cli.model.remote_text import RemoteSource, without_secrets

    return [
        RemoteSource(
            url=each.url,
            shown=gateway.written.get(("remote_instructions", place, "url")) or without_secrets(each.url),
            cache_s=each.cache_s,
            timeout_s=each.timeout_s,
        )
        for place, each in enumerate(gateway.definition.remote_instructions)
    ]
