"""An MCP server written with the SDK, run as a program: `python mcp_tools.py [stdio|http PORT]`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from mcp.server.mcpserver import MCPServer  # noqa: TID253 - a program of its own
from mcp.types import CallToolResult, ImageContent, TextContent  # noqa: TID253

server = MCPServer("test tools")


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two whole numbers."""
    return a + b


@server.tool()
def environment(name: str) -> str:
    """The value of an environment variable."""
    return os.environ.get(name, "(not set)")


@server.tool()
def folder() -> str:
    """Where the server runs."""
    return str(Path.cwd())


@server.tool()
def process() -> str:
    """The server's process id."""
    return str(os.getpid())


@server.tool(name="read.page!")
def read_page() -> str:
    """A tool whose name endpoints do not take."""
    return "a page"


@server.tool()
def search_knowledge(question: str) -> str:
    """A tool named like the search."""
    return f"nothing on {question}"


@server.tool()
def large(characters: int) -> str:
    """A text of many characters."""
    return "x" * characters


@server.tool()
def fail() -> str:
    """A tool that fails."""
    raise ValueError("the printer is on fire")


@server.tool()
def picture() -> CallToolResult:
    """A text and a picture."""
    image = ImageContent(type="image", data="aGVsbG8=", mime_type="image/png")
    return CallToolResult(content=[TextContent(type="text", text="a cat"), image])


@server.tool()
def die() -> str:
    """Ends the server."""
    sys.stderr.write("going down\n")
    sys.stderr.flush()
    os._exit(3)


@server.tool()
def sleep(seconds: float) -> str:
    """Takes its time."""
    time.sleep(seconds)
    return "awake"


@server.tool()
def wait_for_file(begun: str, may_end: str) -> str:
    """Makes one file, and waits for the other."""
    Path(begun).touch()
    while not Path(may_end).exists():
        time.sleep(0.02)
    return "it is there"


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
    else:
        sys.stderr.write("starting up\n")
        server.run()
