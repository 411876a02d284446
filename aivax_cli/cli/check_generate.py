"""`aivax check --generate`: draft tests of retrieval from a collection's own text."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from aivax_cli.core.errors import AivaxError, UsageError

if TYPE_CHECKING:
    from aivax_cli.checks.generating import Chunk
    from aivax_cli.cli.command import Session
    from aivax_cli.gateway.workspace import LoadedGateway, Workspace

_SOME = 20
"""Chunks looked at for each question, so that the documents' chunks are mixed."""


def write_drafts(session: Session, collection: str, count: int, gateway: str | None) -> None:
    """Writes `checks/generated-COLLECTION.yaml`, and the schema for editors beside it.

    Raises UsageError when that file is there already, KnowledgeError without a collection.
    """
    from aivax_cli.checks.generating import checks_yaml
    from aivax_cli.gateway.schema import write_schema
    from aivax_cli.gateway.workspace import find_workspace

    workspace = find_workspace(session.directory)
    file = workspace.root / "checks" / f"generated-{collection}.yaml"
    if file.exists():
        raise UsageError(f"{workspace.shown(file)} is there already", fix="rename it, and generate again")
    asking = workspace.load(gateway) if gateway else workspace.load_only()
    questions = asyncio.run(_questions(session, workspace, asking, collection, count))
    if not questions:
        raise AivaxError(
            f"{asking.definition.name} asked no question", fix="try a larger model: --gateway NAME"
        )
    file.parent.mkdir(exist_ok=True)
    file.write_text(checks_yaml(asking.definition.name, questions), encoding="utf-8")
    with suppress(OSError):  # an editor's help, and no more
        write_schema(file.parent, "checks")
    told = f"wrote {workspace.shown(file)}: {len(questions)} drafts to read and correct"
    session.screen.show(session.screen.words(told))


async def _questions(
    session: Session, workspace: Workspace, gateway: LoadedGateway, collection: str, count: int
) -> list[tuple[Chunk, str]]:
    """Chunks with a question to each, in the chunks' order."""
    from contextlib import aclosing

    from aivax_cli.checks.generating import Chunk, chosen, question_request, read_question
    from aivax_cli.core.events import Finished
    from aivax_cli.render.downloads import download_progress
    from aivax_cli.wiring import open_gateway

    on_download = download_progress(session.screen.note)
    plain = gateway.with_definition(
        gateway.definition.model_copy(update={"knowledge": None, "tools": [], "response_schema": None})
    )
    async with open_gateway(workspace, plain, on_download=on_download) as runtime:
        stored = await asyncio.to_thread(runtime.shared.base.some_chunks, collection, count * _SOME)
        chunks = chosen([Chunk(each.document, each.heading, each.text) for each in stored], count)
        found = []
        for chunk in chunks:
            async with aclosing(runtime.turn(question_request(chunk))) as events:
                async for event in events:
                    if isinstance(event, Finished) and (question := read_question(event.result.text)):
                        found.append((chunk, question))
    return found
