"""Images that a message names by their address: fetched from hosts that the workspace allows, and sent whole.

Nothing but the open internet is reached, whatever a host's name resolves to: it is the address of the very
socket that is looked at, so that no way of writing an address and no change of DNS gets by. No proxy is used,
since it would be the proxy that resolves the name.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from aivax_cli.server.backend import backend_of
from aivax_cli.server.faults import RequestError

if TYPE_CHECKING:
    import aiohttp
    from starlette.requests import Request

MOST_IMAGES: Final = 8
"""The most images of a request that are fetched."""
MOST_BYTES: Final = 5 * 1024 * 1024
"""The longest image that is fetched."""
LONGEST_WAIT_S: Final = 15.0
"""Seconds for all images of a request."""
_MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
# What each kind of image begins with: the header of an answer may say anything.
_KINDS: Mapping[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_TRANSLATED = IPv6Network("64:ff9b::/96")
_INSIDE = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
"""What `is_global` of older Pythons takes for the open internet (RFC 6890), where Oracle has a service of
its machines' own; and Azure's, whose address looks like any other."""

Address = IPv4Address | IPv6Address


async def with_images(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """A chat completion's body with the images of allowed hosts in it as `data:` URLs.

    Addresses on other hosts stay as they are, and are refused by whoever reads the messages. Raises
    RequestError for an image that cannot be had.
    """
    hosts = backend_of(request).image_hosts
    if not hosts or not isinstance(body.get("messages"), list):
        return body
    fetcher: ImageFetcher = request.app.state.images
    return {**body, "messages": await fetcher.inlined(body["messages"], hosts)}


def is_public(address: Address) -> bool:
    """Whether an address is on the open internet, and so is what it stands for.

    IPv6 has several ways to write an IPv4 address: mapped, 6to4, Teredo, and translated (RFC 6052).
    """
    if isinstance(address, IPv6Address):
        teredo = address.teredo
        inner = [address.ipv4_mapped, address.sixtofour, *(teredo or ())]
        if address in _TRANSLATED:
            inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
        found = [each for each in inner if each is not None]
        if found:
            return all(is_public(each) for each in found)
        if address.scope_id is not None:
            return False
    inside = isinstance(address, IPv4Address) and any(address in network for network in _INSIDE)
    return address.is_global and not address.is_multicast and not inside


def is_allowed(url: str, hosts: Sequence[str]) -> bool:
    """Whether an address is on one of the hosts: `name`, `name:port`, or `*.name` for every host below it.

    Without a port the scheme's own is meant. False for an address that cannot be read, or brings a password.
    """
    try:
        parts = urlsplit(url)
        name, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return False
    if parts.scheme not in _PORTS or not name or "@" in parts.netloc:
        return False
    usual = port is None or port == _PORTS[parts.scheme]
    for host in hosts:
        wanted, _, wanted_port = host.partition(":")
        fits = name.endswith(wanted[1:]) if wanted.startswith("*.") else name == wanted
        if fits and (usual if not wanted_port else str(port or _PORTS[parts.scheme]) == wanted_port):
            return True
    return False


class ImageFetcher:
    """Fetches images from elsewhere. For one event loop; `aclose` lets go of its connections.

    `may_reach` says of each address whether a connection is made to it.
    """

    def __init__(self, *, may_reach: Callable[[Address], bool] = is_public) -> None:
        self._may_reach = may_reach
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Closes what is open."""
        if self._session is not None:
            await self._session.close()

    async def inlined(self, messages: list[Any], hosts: Sequence[str]) -> list[Any]:
        """The messages with the images of these hosts in them. Raises RequestError."""
        wanted = {url: None for url in map(_url_of, _parts(messages)) if url and is_allowed(url, hosts)}
        if not wanted:
            return messages
        if len(wanted) > MOST_IMAGES:
            raise RequestError(f"at most {MOST_IMAGES} images of a request are fetched")
        try:
            async with asyncio.timeout(LONGEST_WAIT_S), asyncio.TaskGroup() as fetching:
                tasks = {url: fetching.create_task(self._fetched(url, hosts)) for url in wanted}
        except TimeoutError as error:
            raise RequestError(f"the images did not come within {LONGEST_WAIT_S:.0f} s") from error
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return _replaced(messages, {url: task.result() for url, task in tasks.items()})

    async def _fetched(self, url: str, hosts: Sequence[str]) -> str:
        """An image as a `data:` URL."""
        import aiohttp
        from yarl import URL

        at = url
        try:
            for _ in range(_MOST_REDIRECTS + 1):
                target = URL(at)
                if target.host != urlsplit(at).hostname:  # what was looked at is what is asked
                    raise ValueError(at)
                async with self._open().get(target, allow_redirects=False) as response:
                    if response.status not in _REDIRECTS:
                        return await _read(response, at)
                    at = urljoin(at, response.headers.get("location", ""))
                if not is_allowed(at, hosts):
                    raise _cannot(url, "it leads to a host that is not allowed")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Why a connection failed would tell of the network that this server is in.
            raise _cannot(at, "the host cannot be reached") from error
        raise _cannot(url, f"it leads through more than {_MOST_REDIRECTS} redirects")

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            connector = aiohttp.TCPConnector(limit=32, socket_factory=self._guarded)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"accept": "image/*", "accept-encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    def _guarded(self, found: Any) -> socket.socket:
        """The socket for an address that a name resolved to. Raises OSError for one that is not reached."""
        family, kind, protocol, _, place = found
        if not self._may_reach(ip_address(place[0])):
            raise PermissionError("not on the open internet")
        return socket.socket(family=family, type=kind, proto=protocol)


async def _read(response: aiohttp.ClientResponse, url: str) -> str:
    if response.status != 200:
        raise _cannot(url, f"the host answers with HTTP {response.status}")
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > MOST_BYTES:
            raise _cannot(url, f"it is longer than {MOST_BYTES:,} bytes", 413)
    kind = _kind_of(bytes(data[:16]))
    if kind is None:
        raise _cannot(url, "it is no PNG, JPEG, GIF or WebP")
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _kind_of(begin: bytes) -> str | None:
    if begin[:4] == b"RIFF" and begin[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for mark, kind in _KINDS.items() if begin.startswith(mark)), None)


def _cannot(url: str, why: str, status: int = 400) -> RequestError:
    return RequestError(f"the image on {urlsplit(url).hostname} cannot be had: {why}", status)


def _parts(messages: list[Any]) -> list[Any]:
    contents = [each.get("content") for each in messages if isinstance(each, Mapping)]
    return [part for content in contents if isinstance(content, list) for part in content]


def _url_of(part: object) -> str | None:
    """The address of an image part; None for any other."""
    address = part.get("image_url") if isinstance(part, Mapping) else None
    url = address.get("url") if isinstance(address, Mapping) else address
    return url if isinstance(url, str) and url[:4].lower() == "http" else None


def _replaced(messages: list[Any], fetched: Mapping[str, str]) -> list[Any]:
    def part(given: Any) -> Any:
        data = fetched.get(_url_of(given) or "")
        return given if data is None else {"type": "image_url", "image_url": {"url": data}}

    return [
        {**each, "content": [part(given) for given in each["content"]]}
        if isinstance(each, Mapping) and isinstance(each.get("content"), list)
        else each
        for each in messages
    ]
