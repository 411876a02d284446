"""An MCP server of a few lines, for what no sound server does: `python raw_mcp.py MODE [FILE]`. Starts in no
time. The mode `silent` makes the file when it is called, and does not answer.

Speaks the protocol of 2025-06-18 over stdio. The modes: see the branches.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

MODE = sys.argv[1] if len(sys.argv) > 1 else "sound"
TOOL = {"name": "echo", "description": "Says it again.", "inputSchema": {"type": "object"}}


def tools(cursor: str | None) -> dict[str, object]:
    if MODE == "many":
        return {"tools": [{**TOOL, "name": f"t{number}"} for number in range(1000)]}
    if MODE == "pages":
        number = int(cursor or 0)
        page: dict[str, object] = {"tools": [{**TOOL, "name": f"t{number}"}]}
        return page | ({"nextCursor": str(number + 1)} if number < 2 else {})
    if MODE == "endless":
        return {"tools": [], "nextCursor": "again"}
    if MODE == "schema":
        return {"tools": [{**TOOL, "inputSchema": {"type": "object", "properties": {"a": {"type": "no"}}}}]}
    return {"tools": [TOOL, {**TOOL, "name": "pid"}]}


def called(name: str, arguments: dict[str, object]) -> dict[str, object]:
    if MODE == "dies":
        sys.stderr.write("out of paper\n")
        sys.stderr.flush()
        os._exit(3)
    if MODE == "nonsense":
        return {"content": "no list"}
    said = str(os.getpid()) if name == "pid" else json.dumps(arguments)
    return {"content": [{"type": "text", "text": said}]}


def result(method: str, params: dict[str, object]) -> dict[str, object] | None:
    if method == "initialize":
        version = {"protocolVersion": "2025-06-18", "serverInfo": {"name": "raw", "version": "1"}}
        return {**version, "capabilities": {"tools": {}}}
    if method == "tools/list":
        return tools(params.get("cursor"))  # type: ignore[arg-type]
    if method == "tools/call":
        return called(params["name"], params.get("arguments") or {})  # type: ignore[arg-type]
    return None


def main() -> None:
    if MODE == "crash":
        sys.stderr.write("no licence\n")
        raise SystemExit(2)
    if MODE == "mute":
        sys.stdin.read()
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        if MODE == "garbage":
            sys.stdout.write("Listening on port 3000!\n{\n")
        if MODE == "silent" and request["method"] == "tools/call":
            if sys.argv[2:]:
                Path(sys.argv[2]).touch()
            continue
        answer = result(request["method"], request.get("params") or {})
        known = (
            {"result": answer} if answer is not None else {"error": {"code": -32601, "message": "unknown"}}
        )
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], **known}) + "\n")
        sys.stdout.flush()


main()
if MODE == "stubborn":  # its stdin has ended, and it stays
    time.sleep(60)
