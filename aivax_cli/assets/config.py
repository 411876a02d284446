"""Which package index the user has configured, and how to trust it: what pip and uv would use.

pip: https://pip.pypa.io/en/stable/topics/configuration/ ; uv: https://docs.astral.sh/uv/reference/environment/
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct

PYPI: Final = "https://pypi.org/simple"
_CERTIFICATE_VARIABLES: Final = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# What concerns downloading, the more special section last; pip itself reads them in this order.
_SECTIONS: Final = ("global", "install", "download")


class IndexConfig(Struct, frozen=True):
    """Simple-API roots in the order to ask them; they may hold credentials. `certificates` is a PEM file
    or a folder of them, None for the system's. `proxy` is None for what HTTPS_PROXY and its kin say."""

    urls: tuple[str, ...]
    certificates: Path | None
    proxy: str | None = None


def masked(url: str) -> str:
    """The address without its credentials, query and fragment, fit for an error."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    hidden = "***@" if "@" in parts.netloc else ""
    return urlunsplit((parts.scheme, hidden + host, parts.path, "", ""))


def index_config(environ: Mapping[str, str]) -> IndexConfig:
    """The configuration from the environment, then from pip's files, then PyPI.

    Entries that are no web address (`file:` indexes, folders) are left out; with none left it is PyPI.
    """
    settings = _pip_settings(environ)
    first = (
        environ.get("PIP_INDEX_URL")
        or environ.get("UV_DEFAULT_INDEX")
        or environ.get("UV_INDEX_URL")
        or settings.get("index-url")
        or PYPI
    )
    further = [
        environ.get("PIP_EXTRA_INDEX_URL") or settings.get("extra-index-url", ""),
        environ.get("UV_INDEX", ""),
        environ.get("UV_EXTRA_INDEX_URL", ""),
    ]
    entries = [first, *(entry for group in further for entry in group.split())]
    urls = dict.fromkeys(address for entry in entries if _is_web(address := _address(entry)))
    proxy = environ.get("PIP_PROXY") or settings.get("proxy") or None
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    return IndexConfig(tuple(urls) or (PYPI,), _certificates(environ, settings), proxy)


def _address(entry: str) -> str:
    """uv writes `name=https://…`; both write the address alone."""
    name, equals, rest = entry.strip().partition("=")
    address = rest if equals and name.replace("-", "").replace("_", "").isalnum() else entry.strip()
    return address.rstrip("/")


def _is_web(url: str) -> bool:
    return urlsplit(url).scheme in ("http", "https")


def _certificates(environ: Mapping[str, str], settings: Mapping[str, str]) -> Path | None:
    named = [environ.get(_CERTIFICATE_VARIABLES[0]), settings.get("cert")]
    named += [environ.get(variable) for variable in _CERTIFICATE_VARIABLES[1:]]
    return next((path for text in named if text and (path := Path(text)).exists()), None)


def _pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for file in _pip_files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # pip refuses it with its own message; here another source may still do
        for section in _SECTIONS:
            if parser.has_section(section):
                settings.update((key.replace("_", "-"), value) for key, value in parser.items(section))
    return settings


def _pip_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """pip's configuration files, the one that wins last."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path.home())
    if sys.platform == "win32":
        yield Path(environ.get("PROGRAMDATA", "C:/ProgramData"), "pip", "pip.ini")
        yield home / "pip" / "pip.ini"
        yield Path(environ.get("APPDATA", home), "pip", "pip.ini")
        yield Path(sys.prefix, "pip.ini")
    else:
        yield from _posix_files(environ, home)
        yield Path(sys.prefix, "pip.conf")
    if named:
        yield Path(named)


def _posix_files(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    if sys.platform == "darwin":
        yield Path("/Library/Application Support/pip/pip.conf")
    for folder in reversed(environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep)):
        yield Path(folder, "pip", "pip.conf")
    yield Path("/etc/pip.conf")
    yield home / ".pip" / "pip.conf"
    if sys.platform == "darwin":
        yield home / "Library" / "Application Support" / "pip" / "pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "pip", "pip.conf")
