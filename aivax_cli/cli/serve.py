"""`aivax serve`: the workspace's gateways behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from aivax_cli.cli.command import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from aivax_cli.gateway.workspace import Workspace

_LOOK_EVERY_S = 1.0


class _How(Struct, frozen=True):
    """What is served, and until when; `meeting` is where workers tell each other their counters."""

    drain_s: int
    allow_direct: bool
    reload: bool
    meeting: Path | None

    def options(self) -> list[str]:
        """The options that tell a worker."""
        direct = ["--allow-direct"] if self.allow_direct else []
        return ["--drain-s", str(self.drain_s), *direct, "--reload" if self.reload else "--no-reload"]


def serve(
    session: Session,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8765,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes serve.")] = 1,
    drain_s: Annotated[
        int, typer.Option(min=0, help="Seconds that answers under way have left when the server is ended.")
    ] = 30,
    allow_direct: Annotated[
        bool, typer.Option("--allow-direct", help="Serve models, too: `@provider/name` as `model`.")
    ] = False,
    reload: Annotated[
        bool, typer.Option("--reload/--no-reload", help="Read changed files while the server runs.")
    ] = True,
    inherited: Annotated[str | None, typer.Option(hidden=True)] = None,
    meeting: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve this workspace's gateways to any OpenAI client.

    `aivax serve`, then `OpenAI(base_url="http://127.0.0.1:8765/v1", api_key="none")`.
    Changed files of the workspace are read while the server runs; with a fault in them, what was sound before
    stays.
    """
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.server.running import is_local, listen, url_of
    from aivax_cli.server.workers import Workers
    from aivax_cli.wiring.keyed import key_file, require_keys

    workspace = find_workspace(session.directory)
    how = _How(drain_s, allow_direct, reload, meeting)
    if inherited is not None:
        _serve_as_worker(workspace, inherited, how)
        return
    workspace.providers()
    listening = listen(host, port)
    if not is_local(listening):
        require_keys(workspace, host)
    url = url_of(listening)

    def ready() -> None:
        names = [file.stem for file in workspace.gateway_files()]
        session.screen.note(f"serving {len(names)} gateways at {url}/v1; Ctrl-C ends")
        if names:
            body = f'{{"model": "{names[0]}", "prompt": "Hello"}}'
            key = " -H 'x-api-key: oky_…'" if key_file(workspace).has_keys() else ""
            session.screen.note(f"try: curl {url}/v1/chat/completions{key} -d '{body}'")

    if workers == 1:
        _serve(workspace, listening, how, on_ready=ready)
        return
    command = [sys.executable, "-m", "aivax_cli", "--directory", str(session.directory), "serve"]
    command += how.options()
    Workers(command, workers, listening, drain_s).run(ready)


def _serve_as_worker(workspace: Workspace, inherited: str, how: _How) -> None:
    number, *pipe = map(int, inherited.split(","))

    def ready() -> None:
        for each in pipe:
            os.write(each, b"1")
            os.close(each)

    threading.Thread(target=_end_after, args=(os.getppid(),), daemon=True).start()
    listening = socket.socket(fileno=number)
    _serve(workspace, listening, how, on_ready=ready)


def _end_after(parent: int) -> None:
    """Ends this worker as SIGTERM does once nobody is there any more who would end it."""
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _serve(
    workspace: Workspace, listening: socket.socket, how: _How, *, on_ready: Callable[[], None]
) -> None:
    import asyncio

    from aivax_cli.server.running import event_loop, is_local, run_server
    from aivax_cli.wiring.keyed import open_application
    from aivax_cli.wiring.serving import open_backend

    local = is_local(listening)

    async def main() -> None:
        async with (
            open_backend(workspace, allow_direct=how.allow_direct, watched=how.reload) as backend,
            open_application(backend, local=local, on_ready=on_ready, meeting=how.meeting) as app,
        ):
            await run_server(app, listening, drain_s=how.drain_s)

    with asyncio.Runner(loop_factory=event_loop()) as runner:
        runner.run(main())
