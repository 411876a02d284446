"""A workspace whose gateway has tools, and a model that is scripted to call them."""

from __future__ import annotations

import json
from pathlib import Path

from support.upstream import Answer, Upstream, chunk, sse, tool_call, usage
from support.workspaces import write_gateway


def says_and_calls(text: str, name: str, arguments: object) -> Answer:
    """The stream of an endpoint that says something and then asks for a tool call."""
    call = tool_call(name, json.dumps(arguments))
    return sse([chunk(text), call, chunk(finish="tool_calls"), {"choices": [], "usage": usage(10, 5)}])


def text_answer(text: str) -> Answer:
    """What a tool's endpoint answers."""
    return Answer((text.encode(),), headers={"content-type": "text/plain; charset=utf-8"})


def http_tool(name: str, url: str, *, more: str = "") -> str:
    """The YAML of a tool behind an address that takes a `path`."""
    schema = "{type: object, properties: {path: {type: string}}, required: [path]}"
    return f"  - {{name: {name}, description: 'Works on a file.', url: '{url}', schema: {schema}{more}}}\n"


def gateway_with_tools(root: Path, model: Upstream, tools: str, *, more: str = "") -> None:
    """`gateways/g.yaml` with these tools."""
    write_gateway(root, "g", f"{{base_url: {model.url}, name: m}}", more=f"{more}tools:\n{tools}")
