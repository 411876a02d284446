"""`aivax man`: the manual page."""

from __future__ import annotations

from aivax_cli.cli.command import Session


def man(session: Session) -> None:
    """Print the manual page: `aivax man > aivax.1`, then `man ./aivax.1`."""
    import typer.main

    from aivax_cli.cli.app import app
    from aivax_cli.cli.man_page import man_page

    session.screen.write(man_page(typer.main.get_command(app)))
