"""`aivax models`: who serves models, what they cost, which are on this machine; `pull` fetches one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from aivax_cli.cli.command import Session, command
from aivax_cli.cli.completing import local_model_names
from aivax_cli.cli.diagnosis import size
from aivax_cli.core.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress
    from rich.table import Table

    from aivax_cli.assets.store import AssetStore
    from aivax_cli.assets.table import Asset
    from aivax_cli.cli.model_list import Key, LocalRow, ModelRow, Overview, ProviderRow

_LOCAL = "local"


class _ListByDefault(TyperGroup):
    """`aivax models [PROVIDER]` lists; only a subcommand's name is one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {*self.commands, *ctx.help_option_names}
        if not args or args[0] not in known:
            args = ["list", *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


models = typer.Typer(
    cls=_ListByDefault,
    help="List models, prices, missing keys; `models pull` fetches.",
)


@command(models, "list")
def list_models(
    session: Session,
    which: Annotated[
        str | None,
        typer.Argument(
            metavar="[PROVIDER]",
            help="Only this provider, with all its models: `openai`, `@openai/gpt-5` (names that begin so),"
            " `local`.",
        ),
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option("--pool", metavar="GATEWAY", help="How the rewrite models of this gateway stand."),
    ] = None,
) -> None:
    """List models, prices and missing keys; pull local ones.

    Prices are US dollars per million tokens. Without a provider: the providers, the local models, and the
    models that this workspace's gateways use.
    """
    from aivax_cli.cli.model_list import local_models, overview, provider_models

    screen = session.screen
    if pool is not None:
        if which is not None:
            raise UsageError("--pool and a provider exclude each other", fix="leave one of them out")
        _show_pool(session, pool)
        return
    if which is None:
        seen = overview(session.directory, dict(os.environ))
        if screen.json_output:
            screen.data(seen.record())
        else:
            _show_overview(session, seen)
        return
    if which.removeprefix("@") == _LOCAL:
        rows = local_models(dict(os.environ))
        if screen.json_output:
            screen.data({"models": [row.record() for row in rows]})
        else:
            screen.show(_local_table(rows))
        return
    provider, priced = provider_models(session.directory, dict(os.environ), which)
    if screen.json_output:
        screen.data({"provider": provider.record(), "models": [row.record() for row in priced]})
        return
    if priced:
        screen.show(_price_table(priced))
        if any(row.tiered for row in priced):
            screen.note("+ long prompts cost more than this base price.")
    else:
        screen.note(f"The price table has no such model of {provider.name}.")
    screen.note(_about(provider))


@command(models, "pull")
def pull(
    session: Session,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|URL|FILE]",
            help="A name that `aivax models local` lists, or the address or path of any GGUF file.",
            autocompletion=local_model_names,
        ),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(metavar="HEX", help="What the file must be; checked after the download.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What it will be called: `@local/NAME`. The file's name otherwise.")
    ] = None,
    all_defaults: Annotated[
        bool,
        typer.Option(
            "--all-defaults", help="Fetch everything the defaults need, for work without a network."
        ),
    ] = False,
) -> None:
    """Fetch a model for `@local/…`, or with `--all-defaults` everything the defaults need.

    An interrupted download goes on where it stopped. A file whose SHA-256 is not the stated one is
    deleted. A file from an address without `--sha256` is believed, and its hash is printed.
    """
    from aivax_cli.assets.store import AssetStore

    if (source is None) != all_defaults:
        raise UsageError("say what to fetch", fix="give one NAME, URL or FILE, or --all-defaults alone")
    if all_defaults and (name or sha256):
        raise UsageError("--all-defaults takes no --name and no --sha256", fix="leave them out")
    with _Progress(session) as progress:
        store = AssetStore.from_environment(os.environ, progress.report)
        if source is None:
            got = [store.asset(each) for each in store.fetch_all()]
        else:
            got = [_pulled(store, source, name=name, sha256=sha256)]
    records = [_pull_record(store, asset) for asset in got]
    if session.screen.json_output:
        session.screen.data({"pulled": records})
    for asset in got:
        _tell(session, store, asset)
    if source is not None and not sha256 and source not in _names(store) and _is_address(source):
        session.screen.warn(
            f"nothing says what this file must be, so it was believed; its SHA-256 is {got[0].sha256}"
        )


def _pulled(store: AssetStore, source: str, *, name: str | None, sha256: str | None) -> Asset:
    """Fetches by name, address or path. Raises NotFoundError for what is none of the three."""
    from aivax_cli.assets.table import Url
    from aivax_cli.model.known import KNOWN_MODELS

    if source in _names(store) and not sha256 and name in (None, source):
        store.path(source)
        return store.asset(source)
    known = KNOWN_MODELS.get(source)
    if known is not None:
        (place,) = known.sources
        assert isinstance(place, Url)
        return store.pull(place.url, name=name or known.name, sha256=sha256 or known.sha256)
    if not _is_address(source) and not Path(source).expanduser().exists() and not source.endswith(".gguf"):
        known_names = {*(asset.name for asset in store.assets()), *KNOWN_MODELS}
        raise unknown_name("model", source, known_names, otherwise="give an address or a file")
    return store.pull(source, name=name, sha256=sha256)


def _names(store: AssetStore) -> set[str]:
    return {asset.name for asset in store.assets()}


def _is_address(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _pull_record(store: AssetStore, asset: Asset) -> dict[str, object]:
    file = store.location(asset.name)
    return {
        "name": asset.name,
        "model": f"@local/{asset.name}" if asset.file_name.endswith(".gguf") else None,
        "file": file,
        "size_bytes": file.stat().st_size,
        "sha256": asset.sha256,
    }


def _tell(session: Session, store: AssetStore, asset: Asset) -> None:
    file = store.location(asset.name)
    what = f"@local/{asset.name}" if asset.file_name.endswith(".gguf") else asset.name
    session.screen.note(f"{what} is here: {file} ({size(file.stat().st_size)})")


class _Progress:
    """A bar for each file that is fetched, for a person; nothing with --quiet."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._bars: Progress | None = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def report(self, name: str, done: int, total: int | None) -> None:
        """Bytes downloaded of bytes to download. The first report of all draws the bars."""
        if self._session.screen.quiet:
            return
        if self._bars is None:
            self._bars = _bars(self._session)
            self._bars.start()
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[name], completed=done, total=total)


def _bars(session: Session) -> Progress:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=session.screen.aside,
    )


def _show_pool(session: Session, gateway: str) -> None:
    from aivax_cli.cli.model_pool import pool_rows, pool_table
    from aivax_cli.gateway.workspace import find_workspace

    workspace = find_workspace(session.directory)
    loaded = workspace.load(gateway)
    rows = pool_rows(workspace, loaded)
    margin = loaded.definition.rewrite.price_margin
    if session.screen.json_output:
        session.screen.data(
            {
                "gateway": loaded.definition.name,
                "price_margin": margin,
                "models": [row.record() for row in rows],
            }
        )
        return
    session.screen.show(pool_table(rows, margin))
    if not any(row.samples for row in rows):
        session.screen.note("None has been asked of late: the first question to rewrite begins the standing.")


def _show_overview(session: Session, seen: Overview) -> None:
    screen = session.screen
    screen.show(_provider_table(seen.providers))
    screen.show(_local_table(seen.local))
    if seen.used:
        screen.show(_used_table(seen.used))
    screen.note(
        "aivax models PROVIDER lists its models and prices; aivax models pull NAME fetches a local one."
    )


def _provider_table(rows: Sequence[ProviderRow]) -> Table:
    from aivax_cli.render.spoken import Spoken

    table = _table("Providers", "provider", "address", "key")
    for row in rows:
        place = row.base_url or Spoken("on this machine")
        table.add_row(f"@{row.name}", place, _key_cell(row.key, row.variable))
    return table


def _local_table(rows: Sequence[LocalRow]) -> Table:
    from aivax_cli.render.spoken import Spoken

    table = _table("Local models", "model", "state", ">size", "licence")
    for row in rows:
        state = Spoken("downloaded", "green") if row.downloaded else Spoken("not downloaded", "dim")
        table.add_row(
            f"@local/{row.name}", state, size(row.size_bytes) if row.size_bytes else "", row.license
        )
    return table


def _used_table(rows: Sequence[ModelRow]) -> Table:
    table = _table(
        "Used here, USD per million tokens", "model", ">input", ">cached", ">output", "key", "gateways"
    )
    for row in rows:
        key = _key_cell(row.key, row.variable)
        table.add_row(row.label, *_price_cells(row), key, ", ".join(row.gateways))
    return table


def _price_table(rows: Sequence[ModelRow]) -> Table:
    table = _table("USD per million tokens", "model", ">input", ">cached", ">output", ">context")
    for row in rows:
        context = f"{row.context_tokens:,}" if row.context_tokens else ""
        table.add_row(row.label, *_price_cells(row), context)
    return table


def _price_cells(row: ModelRow) -> tuple[RenderableType, str, str]:
    from aivax_cli.render.money import UNPRICED, usd
    from aivax_cli.render.spoken import Spoken

    def cell(price: Decimal | None) -> str:
        return "" if price is None else usd(price) + ("+" if row.tiered else "")

    if row.input_usd is None and row.output_usd is None:
        return Spoken(UNPRICED), "", ""
    if not (row.input_usd or row.output_usd):
        return Spoken("free"), "", ""
    return cell(row.input_usd), cell(row.cached_input_usd), cell(row.output_usd)


def _key_cell(key: Key | None, variable: str | None) -> RenderableType:
    from aivax_cli.render.spoken import Spoken

    match key:
        case "missing":
            return Spoken(f"{variable} missing", "red")
        case "present":
            return Spoken(f"{variable} present", "green")
        case "from a command":
            return Spoken("from a command", "dim")
        case _:
            return Spoken("not needed", "dim")


def _about(provider: ProviderRow) -> str:
    keys = {
        "missing": f"; its key is missing: export {provider.variable}=…",
        "present": f"; its key is in {provider.variable}",
        "from a command": "; its key comes from a command",
    }
    return f"{provider.name} is at {provider.base_url}{keys.get(provider.key, '')}"


def _table(title: str, *headings: str) -> Table:
    """A plain table; a heading that begins with `>` has its column to the right."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        header_style="bold",
        border_style="dim",
    )
    for heading in headings:
        right = heading.startswith(">")
        table.add_column(
            heading.lstrip(">"), justify="right" if right else "left", no_wrap=right, overflow="fold"
        )
    return table
