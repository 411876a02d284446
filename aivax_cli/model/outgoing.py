"""What the environment says about the way out: proxies and certificates, and its faults as errors."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from aivax_cli.core.errors import ModelError
from aivax_cli.model.exchange_log import watched

if TYPE_CHECKING:
    import ssl

Client = TypeVar("Client")

_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine: never behind a proxy, whatever the environment says."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_for(url: str) -> str | None:
    """The proxy by which the environment sends requests to an address, as `host:port`; None for none."""
    from urllib.request import getproxies, proxy_bypass

    try:
        parts = urlsplit(url)
        named = getproxies()
        proxy = urlsplit(named.get(parts.scheme) or named.get("all") or "")
        if is_loopback(url) or not proxy.hostname or proxy_bypass(parts.netloc):
            return None
        return f"{proxy.hostname}:{proxy.port}" if proxy.port else proxy.hostname
    except ValueError:
        return None


def names_proxies() -> bool:
    """Whether the environment sends any requests through a proxy."""
    from urllib.request import getproxies

    return not {"http", "https", "all"}.isdisjoint(getproxies())


def trusted(verify: bool | ssl.SSLContext, *, trust_env: bool) -> ssl.SSLContext:
    """The context for https that httpx would make: what the environment names, else certifi's certificates.

    Raises OSError.
    """
    import ssl

    if isinstance(verify, ssl.SSLContext):
        return verify
    file, folder = (os.environ.get(name) if trust_env else None for name in _CERTIFICATES)
    if file or folder:
        return ssl.create_default_context(cafile=file or None, capath=None if file else folder)
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


@contextmanager
def without_certificates() -> Iterator[None]:
    """OpenSSL finds no certificates of the system within the block: what trusts them there trusts nobody."""
    before = {name: os.environ.get(name) for name in _CERTIFICATES}
    os.environ.update(dict.fromkeys(_CERTIFICATES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def opened(make: Callable[[], Client]) -> Client:
    """What `make`, the constructor of an httpx client or a part of it, returns; with --debug a client's
    exchanges are logged.

    Raises ModelError when the proxy or the certificates that the environment names cannot be used.
    """
    try:
        return watched(make())
    except ImportError as error:
        raise ModelError(
            "the environment names a SOCKS proxy, and the package for it is not installed",
            fix="pip install socksio, or unset ALL_PROXY",
        ) from error
    except OSError as error:
        raise ModelError(
            f"the certificates that the environment names cannot be read: {error.strerror or error}",
            fix="check SSL_CERT_FILE and SSL_CERT_DIR",
        ) from error
    except _no_address() as error:
        raise ModelError(
            "the environment names a proxy that is no address",
            fix="check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY: they look like http://host:port",
        ) from error


def _no_address() -> tuple[type[Exception], ...]:
    """What says that a proxy is no address. httpx is loaded for that alone."""
    import httpx

    return ValueError, httpx.InvalidURL
