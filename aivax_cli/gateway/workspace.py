"""A folder of gateways and collections: finding it, and finding things in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from aivax_cli.core.errors import DefinitionError, Fault, UsageError, unknown_name
from aivax_cli.gateway.basics import Definition
from aivax_cli.gateway.definition import Gateway
from aivax_cli.gateway.explain import shown
from aivax_cli.gateway.knowledge import Collection
from aivax_cli.gateway.loading import (
    GatewayReading,
    inheritance,
    read_collection,
    read_gateway,
    read_settings,
    stands_at,
)
from aivax_cli.gateway.overrides import refuse_locked, with_settings
from aivax_cli.gateway.places import (
    DEFINITION_ENDINGS,
    SETTINGS_FILE,
    definition_files,
    find_root,
    gateway_files,
    is_base_only,
    state_dir,
)
from aivax_cli.gateway.providers import Provider, merge_providers
from aivax_cli.gateway.request_overrides import with_fields
from aivax_cli.gateway.settings import WorkspaceSettings
from aivax_cli.gateway.variables import Written
from aivax_cli.gateway.yamlfile import display
from aivax_cli.gateway.yamltree import FieldPath

_MAKE_ONE = "`aivax gateways new NAME` makes one"


class LoadedGateway(Struct, frozen=True):
    """A sound gateway. `instructions` is the system message, `instructions_file` the file it came from.

    `bases` are the files it extends, the nearest first, and `inherited` the place in them of each field that
    it has from there. `locked_at` is where its `locked` stands, as `file:line`. `written` is what its file
    says wherever a variable was filled in.
    """

    definition: Gateway
    file: Path
    instructions: str | None
    instructions_file: Path | None = None
    bases: tuple[Path, ...] = ()
    inherited: Mapping[str, tuple[Path, int]] = field(default_factory=dict)
    locked_at: str = ""
    written: Mapping[FieldPath, str] = field(default_factory=dict)

    def folder_of(self, name: str) -> Path:
        """The folder that a file name in this field (dotted) is relative to: its gateway's, or its base's."""
        file, _ = self.inherited.get(name, (self.file, 0))
        return file.parent

    def with_settings(self, assignments: Iterable[str]) -> LoadedGateway:
        """`--set` and `/set`; raises as `overrides.with_settings` does."""
        changed = with_settings(self.definition, assignments, locked_at=self.locked_at)
        return self.with_definition(changed)

    def with_request(self, fields: Mapping[str, object]) -> LoadedGateway:
        """What a request over the network changes; raises as `request_overrides.with_fields` does."""
        return self.with_definition(with_fields(self.definition, fields, locked_at=self.locked_at))

    def filled_in(self) -> dict[str, str]:
        """The values that variables gave the gateway, and what stands in its file instead."""
        return values_written(self.definition, dict(self.written))

    def refuse_locked(self, name: str) -> None:
        """Raises UsageError when the field is locked: for what is overridden otherwise than by a setting."""
        refuse_locked(self.definition, name, locked_at=self.locked_at)

    def with_definition(self, definition: Gateway) -> LoadedGateway:
        """The gateway with fields changed for a while; instructions set this way win over the file's."""
        from_file = self.instructions if self.instructions_file else None
        instructions = from_file if definition.instructions is None else definition.instructions
        before = self.definition
        kept = {
            path: text
            for path, text in self.written.items()
            if getattr(before, str(path[0])) == getattr(definition, str(path[0]))
        }
        return replace(self, definition=definition, instructions=instructions, written=kept)


def values_written(definition: Definition | None, written: Written) -> dict[str, str]:
    """What variables filled in, and what stands in the file for it."""
    values = definition.model_dump(by_alias=True) if definition is not None else {}
    found: dict[str, str] = {}
    for path, text in written.items():
        value: Any = values
        for step in path:
            value = value[step]
        found[str(value)] = text
    return found


def find_workspace(start: Path) -> Workspace:
    """The workspace that holds `start`: the nearest folder, going up, with `gateways/` or `aivax.yaml`.

    Raises UsageError when there is none.
    """
    return Workspace(find_root(start), start.resolve())


class Workspace(Struct, frozen=True):
    """A workspace on disk. Paths in messages are relative to `start`, by default the root itself."""

    root: Path
    start: Path | None = None

    @property
    def state_dir(self) -> Path:
        """What aivax keeps here: indexes, the ledger. Never in version control; may not exist yet."""
        return state_dir(self.root)

    @property
    def gateways_dir(self) -> Path:
        return self.root / "gateways"

    @property
    def collections_dir(self) -> Path:
        return self.root / "collections"

    @property
    def settings_file(self) -> Path:
        return self.root / SETTINGS_FILE

    def shown(self, path: Path) -> str:
        """A path as messages show it."""
        return display(path, self.start or self.root)

    def gateway_files(self) -> list[Path]:
        """Every gateway file, sound or not, by name; `_….yaml` is none, but there to be extended."""
        return gateway_files(self.root)

    def base_files(self) -> list[Path]:
        """The files that are there to be extended and nothing else, by name."""
        return [file for file in definition_files(self.gateways_dir) if is_base_only(file)]

    def collection_files(self) -> list[Path]:
        """Every collection definition, sound or not, by name."""
        return definition_files(self.collections_dir)

    def settings(self) -> WorkspaceSettings:
        """What `aivax.yaml` says; the defaults without one. Raises DefinitionError when it is wrong."""
        if not self.settings_file.exists():
            return WorkspaceSettings.model_construct()
        reading = read_settings(self.settings_file, start=self.start or self.root)
        if reading.definition is None:
            raise DefinitionError(reading.faults)
        return reading.definition

    def filled_in(self) -> dict[str, str]:
        """The values that variables gave `aivax.yaml`, and what stands there instead; messages show that."""
        if not self.settings_file.exists():
            return {}
        reading = read_settings(self.settings_file, start=self.start or self.root)
        return values_written(reading.definition, reading.written)

    def providers(self) -> dict[str, Provider]:
        """The built-in providers and those of `aivax.yaml`. Raises DefinitionError when that is wrong."""
        settings = self.settings()
        return merge_providers(settings.providers, settings.prices)

    def readings(self, files: Iterable[Path] | None = None) -> Iterator[GatewayReading]:
        """Gateway files as they are, broken ones included."""
        providers = self._providers_or_none()
        for file in self.gateway_files() if files is None else files:
            yield self._read(file, providers)

    def load(self, reference: str) -> LoadedGateway:
        """The gateway of a file name (with or without `.yaml`), a name, a full id or a slug `name:final4`.

        Raises DefinitionError with all faults of that file, NotFoundError with the nearest name,
        UsageError when two gateways answer to the reference. Faults of other files do not matter.
        """
        if file := self._file_called(reference):
            return _sound(self._read(file, self._providers_or_none()))
        readings = list(self.readings())
        matches = [reading for reading in readings if reference in _names(reading)]
        if not matches:
            known = {file.stem for file in self.gateway_files()}
            known |= {name for each in readings if each.definition and (name := each.definition.name)}
            raise unknown_name("gateway", reference, known, otherwise=_MAKE_ONE)
        if len(matches) > 1:
            files = ", ".join(reading.shown_as for reading in matches)
            raise UsageError(f"'{reference}' names several gateways: {files}", fix="use the file's name")
        return _sound(matches[0])

    def claimed_by(self, name: str) -> Path | None:
        """The gateway file that has this name already, as file or as gateway; None when it is free."""
        files = [file for file in self.gateway_files() if file.stem == name]
        files += [reading.file for reading in self.readings() if reading.claim("name") == name]
        return files[0] if files else None

    def load_only(self) -> LoadedGateway:
        """The workspace's gateway when there is exactly one. Raises UsageError otherwise."""
        files = self.gateway_files()
        if len(files) == 1:
            return _sound(self._read(files[0], self._providers_or_none()))
        if not files:
            raise UsageError(f"no gateway in {self.shown(self.gateways_dir)}", fix=_MAKE_ONE)
        names = ", ".join(file.stem for file in files)
        raise UsageError(f"there are {len(files)} gateways", fix=f"name one of: {names}")

    def collection_definition(self, name: str) -> Collection:
        """What `collections/NAME.yaml` says; the defaults when there is no such file.

        Raises DefinitionError with the file's faults.
        """
        file = next((file for file in self.collection_files() if file.stem == name), None)
        if file is None:  # the catalogue says which names there can be
            return Collection().model_copy(update={"name": name})
        reading = read_collection(file, start=self.start or self.root, providers=self._providers_or_none())
        if reading.definition is None:
            raise DefinitionError(reading.faults)
        return reading.definition.model_copy(update={"name": name})

    def every_file(self) -> list[Path]:
        """Every definition file of the workspace."""
        settings = [self.settings_file] if self.settings_file.exists() else []
        return [*settings, *self.gateway_files(), *self.base_files(), *self.collection_files()]

    def validate_all(self, files: Sequence[Path] | None = None) -> list[Fault]:
        """Every fault of these files, of the whole workspace by default; none means that all are sound.

        A file is read as what its place makes it: `aivax.yaml`, a collection in `collections/`, else a
        gateway. Gateways are compared with all others of the workspace.
        """
        base, providers = self.start or self.root, self._providers_or_none()
        gateways = {reading.file.resolve(): reading for reading in self.readings()}
        found: dict[Path, list[Fault]] = {}
        for file in self.every_file() if files is None else files:
            place = file.resolve()
            if file.name == SETTINGS_FILE:
                found[place] = [*read_settings(file, start=base).faults]
            elif file.parent.name == "collections":
                found[place] = [*read_collection(file, start=base, providers=providers).faults]
            else:
                if place not in gateways:
                    gateways[place] = self._read(file, providers)
                found[place] = [*gateways[place].faults]
        for file, fault in _shared_names(list(gateways.values())):
            if file.resolve() in found:
                found[file.resolve()].append(fault)
        told = [fault for each in found.values() for fault in sorted(each, key=lambda fault: fault.line)]
        return list(dict.fromkeys(told))  # a base's faults are those of every gateway that extends it

    def _read(self, file: Path, providers: dict[str, Provider] | None) -> GatewayReading:
        root = self.root if file.resolve().is_relative_to(self.root.resolve()) else file.parent
        return read_gateway(file, root=root, start=self.start or self.root, providers=providers)

    def _providers_or_none(self) -> dict[str, Provider] | None:
        """None while `aivax.yaml` is broken: its faults are its own, and no gateway's."""
        try:
            return self.providers()
        except DefinitionError:
            return None

    def _file_called(self, reference: str) -> Path | None:
        files = self.gateway_files()
        given = Path(reference)
        for base in (self.gateways_dir, self.start or self.root):
            if given.suffix in DEFINITION_ENDINGS and (base / given).resolve() in _resolved(files):
                return base / given
        stems = [file for file in files if file.stem == reference]
        if len(stems) > 1:
            names = ", ".join(self.shown(file) for file in stems)
            raise UsageError(f"'{reference}' names several files: {names}", fix="name one with its ending")
        return stems[0] if stems else None


def _resolved(files: Iterable[Path]) -> list[Path]:
    return [file.resolve() for file in files]


def _names(reading: GatewayReading) -> set[str]:
    """What a gateway is called; also what a broken one calls itself."""
    name, identity = reading.claim("name"), reading.claim("id")
    slug = f"{name}:{identity[-4:]}" if name and identity else None
    return {each for each in (name, identity, slug) if each}


def _sound(reading: GatewayReading) -> LoadedGateway:
    if reading.definition is None:
        raise DefinitionError(reading.faults)
    return LoadedGateway(
        reading.definition,
        reading.file,
        reading.instructions,
        reading.instructions_file,
        reading.bases,
        inheritance(reading),
        stands_at(reading, "locked"),
        reading.written,
    )


def _shared_names(readings: Sequence[GatewayReading]) -> Iterator[tuple[Path, Fault]]:
    """The faults of gateways that share an id or a name, each with its file: it names the others."""
    for name in ("name", "id"):
        holders: dict[str, list[GatewayReading]] = defaultdict(list)
        for reading in readings:
            if claimed := reading.claim(name):
                holders[claimed].append(reading)
        for claimed, sharing in holders.items():
            for reading in sharing if len(sharing) > 1 else ():
                others = ", ".join(other.shown_as for other in sharing if other is not reading)
                line = reading.tree.line((name,)) if reading.tree else 1
                problem = f"{shown(claimed)} is also the {name} of {others}; every gateway has its own"
                yield reading.file, Fault(reading.shown_as, line, name, problem)
