"""`aivax keys`: who may use the server."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

from aivax_cli.cli.command import Session, command, group_default
from aivax_cli.cli.completing import gateway_names
from aivax_cli.core.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from aivax_cli.server.keys import ApiKey, KeyFile

keys = typer.Typer()

_LONGEST_NAME = 64


@group_default(keys)
def list_by_default(session: Session) -> None:
    """List the keys of `aivax serve`; make and revoke them."""
    _list(session)


@command(keys, "list")
def list_keys(session: Session) -> None:
    """List the keys, revoked ones too. The keys themselves are kept nowhere."""
    _list(session)


@command(keys, "new")
def new(
    session: Session,
    name: Annotated[str, typer.Argument(help="What it is for, as `list` shows it.")],
    gateway: Annotated[
        list[str] | None,
        typer.Option(
            "--gateway",
            "-g",
            help="Only this gateway; may be repeated. All without it.",
            autocompletion=gateway_names,
        ),
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option("--rpm", min=1, max=1_000_000, help="At most so many requests a minute.")
    ] = None,
    usd_per_day: Annotated[
        str | None, typer.Option("--usd-per-day", metavar="USD", help="At most so much a day (UTC).")
    ] = None,
) -> None:
    """Make a key for `aivax serve` and print it, this once.

    Who sends it as `Authorization: Bearer …` or `x-api-key: …` may use the gateways.
    """
    limit = _usd(usd_per_day)
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        raise UsageError(f"a key's name has 1 to {_LONGEST_NAME} printable characters")
    key, text = _file(session).new(
        name,
        gateways=_gateway_names(session, gateway or ()),
        requests_per_minute=requests_per_minute,
        usd_per_day=limit,
    )
    if session.screen.json_output:
        session.screen.data({**_object(key), "key": text})
        return
    session.screen.write(f"{text}\n")
    session.screen.note("keep it: it is not shown again; what is stored here does not tell it")


@command(keys, "revoke")
def revoke(
    session: Session,
    key: Annotated[str, typer.Argument(help="Its name, or its beginning as `list` shows it.")],
) -> None:
    """End a key. Requests under way are finished, later ones refused, without a restart."""
    ended = _file(session).revoke(key)
    if session.screen.json_output:
        session.screen.data(_object(ended) | {"revoked": True})
    else:
        session.screen.note(f"'{ended.name}' ({ended.label}) is revoked")


def _list(session: Session) -> None:
    found = _file(session).listed()
    if session.screen.json_output:
        session.screen.data([_object(key) for key in found])
    elif found:
        session.screen.show(_table(found))
    else:
        session.screen.note("There are no keys: aivax keys new NAME")


def _file(session: Session) -> KeyFile:
    from aivax_cli.gateway.workspace import find_workspace
    from aivax_cli.server.keys import KEYS_FILE, KeyFile

    return KeyFile(find_workspace(session.directory).state_dir / KEYS_FILE)


def _gateway_names(session: Session, given: Sequence[str]) -> list[str]:
    """The gateways by their names, however they were referred to. Raises NotFoundError."""
    from aivax_cli.gateway.workspace import find_workspace

    workspace = find_workspace(session.directory)
    return list(dict.fromkeys(workspace.load(reference).definition.name for reference in given))


def _usd(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value <= 0:
        raise UsageError(f"--usd-per-day: '{text}' is no amount", fix="write it like 2.50")
    return value


def _object(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "gateways": list(key.gateways),
        "requests_per_minute": key.requests_per_minute,
        "usd_per_day": None if key.usd_per_day is None else float(key.usd_per_day),
        "created": key.created,
        "revoked": key.revoked,
    }


def _table(found: Sequence[ApiKey]) -> Table:
    from rich.table import Table

    from aivax_cli.render.safe_text import safe_line
    from aivax_cli.render.spoken import Spoken

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("name", "key", "gateways", "requests/min", "USD/day", "made", "revoked"):
        table.add_column(title, justify="right" if title in ("requests/min", "USD/day") else "left")
    for key in found:
        table.add_row(
            safe_line(key.name),
            key.label,
            safe_line(", ".join(key.gateways)) or Spoken("all"),
            "" if key.requests_per_minute is None else f"{key.requests_per_minute:,}",
            "" if key.usd_per_day is None else format(key.usd_per_day, "f"),
            key.created[:16].replace("T", " "),
            (key.revoked or "")[:16].replace("T", " "),
        )
    return table
