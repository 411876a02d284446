"""The user's package index: where a pinned wheel lies and what its hash should be.

Speaks the simple API in JSON (https://peps.python.org/pep-0691/) and in HTML
(https://peps.python.org/pep-0503/), whichever an index answers with.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

from msgspec import Struct

from aivax_cli.assets.config import masked
from aivax_cli.assets.fetch import Fetcher
from aivax_cli.core.errors import AssetError

if TYPE_CHECKING:
    import httpx

_ACCEPT: Final = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
)


class IndexFile(Struct, frozen=True):
    """A file of a project. `url` may hold credentials; `sha256` is the index's own, when it gives one."""

    name: str
    url: str
    sha256: str | None


def find_file(fetcher: Fetcher, package: str, name: str) -> IndexFile:
    """The file from the first configured index that has it.

    Raises AssetError that says what each index answered; a yanked file is as good as any, its hash decides.
    """
    project = re.sub(r"[-_.]+", "-", package).lower()
    failures: list[str] = []
    for root in fetcher.config.urls:
        try:
            page = fetcher.page(f"{root}/{project}/", _ACCEPT)
            files = _files(page)
        except AssetError as error:
            failures.append(str(error))
            continue
        found = next((file for file in files if file.name == name), None)
        if found:
            return _with_credentials_of(root, found)
        failures.append(f"{masked(root)} has no {name}")
    raise AssetError("; ".join(failures))


def _files(page: httpx.Response) -> list[IndexFile]:
    """Files of a project page; their addresses are made absolute against the page's own."""
    base = str(page.url)
    if "json" not in page.headers.get("Content-Type", ""):
        return _html_files(page.text, base)
    try:
        return [_json_file(entry, base) for entry in page.json()["files"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AssetError(f"{masked(base)} is no project page of a package index") from error


def _json_file(entry: Any, base: str) -> IndexFile:
    sha256 = entry.get("hashes", {}).get("sha256")
    return IndexFile(entry["filename"], urljoin(base, entry["url"]), sha256)


def _html_files(text: str, base: str) -> list[IndexFile]:
    anchors = _Anchors()
    anchors.feed(text)
    root = urljoin(base, anchors.base)
    files = []
    for link in anchors.links:
        url, fragment = urldefrag(urljoin(root, link))
        algorithm, _, digest = fragment.partition("=")
        name = unquote(urlsplit(url).path.rpartition("/")[2])
        files.append(IndexFile(name, url, digest if algorithm == "sha256" else None))
    return files


class _Anchors(HTMLParser):
    """Collects a page's links and its base address."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        link = dict(attrs).get("href")
        if tag == "a" and link:
            self.links.append(link)
        elif tag == "base" and link:
            self.base = link


def _with_credentials_of(root: str, file: IndexFile) -> IndexFile:
    """An index's credentials hold for the files that the same host serves, as with pip."""
    index, place = urlsplit(root), urlsplit(file.url)
    user, at, host = index.netloc.rpartition("@")
    if not at or place.netloc != host or place.scheme != index.scheme:
        return file
    return IndexFile(file.name, urlunsplit(place._replace(netloc=f"{user}@{host}")), file.sha256)
