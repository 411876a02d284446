"""`aivax schema`: the JSON Schemas of the definition files."""

from __future__ import annotations

from typing import Annotated

import typer

from aivax_cli.cli.command import Session


def schema(
    session: Session,
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="`gateway`, `collection`, `checks` or `workspace` (aivax.yaml)."),
    ],
) -> None:
    """Print the JSON Schema of a kind of file.

    Editors use it to complete and check. New gateways come with it: `aivax gateways new`.
    """
    from aivax_cli.gateway.schema import schema_text

    session.screen.write(schema_text(kind))
