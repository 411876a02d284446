"""`aivax serve`: the workspace's gateways behind an OpenAI-compatible endpoint."""

from __future__ import annotations

from typing import Annotated

import typer

from aivax_cli.cli.command import Session


def serve(
    session: Session,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8765,
) -> None:
    """Serve this workspace's gateways to any OpenAI client.

    `aivax serve`, then `OpenAI(base_url="http://127.0.0.1:8765/v1", api_key="none")`.
    """
    import asyncio

    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.server.running import run_server
    from aivax_cli.wiring.serving import open_backend

    workspace = find_workspace(session.directory)

    def ready(url: str) -> None:
        names = [file.stem for file in workspace.gateway_files() if not file.stem.startswith("_")]
        session.screen.note(f"serving {len(names)} gateways at {url}/v1; Ctrl-C ends")
        if names:
            body = f'{{"model": "{names[0]}", "prompt": "Hello"}}'
            session.screen.note(f"try: curl {url}/v1/chat/completions -d '{body}'")

    asyncio.run(run_server(lambda: open_backend(workspace), host, port, on_ready=ready))
