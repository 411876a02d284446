"""`aivax mcp`: the workspace's gateways and collections as tools, over stdin and stdout."""

from __future__ import annotations

from aivax_cli.cli.command import Session


def mcp(session: Session) -> None:
    """Serve gateways and collections to an MCP client that starts this command.

    Each gateway is a tool `invoke_NAME(prompt)`, each collection `NAME_search(search_terms)`. `aivax serve`
    has the same at `/mcp`.
    """
    import asyncio

    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.server.mcp_tools import serve_stdio
    from aivax_cli.wiring.keyed import open_everything
    from aivax_cli.wiring.serving import open_backend

    workspace = find_workspace(session.directory)

    async def run() -> None:
        async with open_backend(workspace) as backend, open_everything(backend) as everything:
            await serve_stdio(everything)

    asyncio.run(run())
