"""`aivax tools`: what a gateway's model may call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aivax_cli.cli.command import Session
from aivax_cli.cli.completing import gateway_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from aivax_cli.gateway.workspace import LoadedGateway, Workspace
    from aivax_cli.tools.offers import Offer


def tools(
    session: Session,
    gateway: Annotated[
        str | None,
        typer.Argument(
            help="With one gateway its name may be left out.",
            show_default=False,
            autocompletion=gateway_names,
        ),
    ] = None,
) -> None:
    """List the tools that a gateway offers to its model.

    Starts or reaches its tool servers, and ends them again.
    """
    import asyncio

    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.render.safe_text import safe_line

    workspace = find_workspace(session.directory)
    chosen = workspace.load(gateway) if gateway is not None else workspace.load_only()
    offers, warnings = asyncio.run(_offers(workspace, chosen))
    for warning in warnings:
        session.screen.warn(safe_line(warning))
    if session.screen.json_output:
        session.screen.data([_record(offer) for offer in offers])
    elif offers:
        session.screen.show(_table(offers))
    else:
        session.screen.note(f"gateway '{chosen.definition.name}' has no tools; docs/tools.md shows how")


async def _offers(workspace: Workspace, gateway: LoadedGateway) -> tuple[tuple[Offer, ...], tuple[str, ...]]:
    from aivax_cli.wiring import open_gateway

    async with open_gateway(workspace, gateway) as runtime:
        return await runtime.tools()


def _record(offer: Offer) -> dict[str, object]:
    return {
        "name": offer.spec.name,
        "from": offer.origin,
        "own_name": offer.own_name,
        "confirm": offer.settings.confirm,
        "description": offer.spec.description,
        "schema": offer.spec.schema,
    }


def _table(offers: Sequence[Offer]) -> Table:
    from rich.table import Table
    from rich.text import Text

    from aivax_cli.render.safe_text import safe_line
    from aivax_cli.render.spoken import Spoken

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "from", "confirm", "description"):
        table.add_column(title, overflow="fold")
    for offer in offers:
        renamed = "" if offer.own_name == offer.spec.name else f" (there: {safe_line(offer.own_name)})"
        table.add_row(
            Text(offer.spec.name),
            Spoken(safe_line(offer.origin), "", (renamed, "")),
            Spoken("yes" if offer.settings.confirm else ""),
            Text(safe_line(offer.spec.description)),
        )
    return table
