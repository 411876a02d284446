"""Downloads over HTTP: with time-outs, retried when that can help, and going on where they broke off."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from msgspec import Struct

from aivax_cli import __version__
from aivax_cli.assets.config import IndexConfig, index_config, masked
from aivax_cli.core.errors import AssetError

if TYPE_CHECKING:
    import httpx

OnBytes = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes there will be, None while that is unknown."""

_Result = TypeVar("_Result")
_RETRIED_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})
_CREDENTIALS_WANTED: Final = frozenset({401, 403, 407})
_LONGEST_WAIT_S: Final = 30.0


class Patience(Struct, frozen=True):
    """How long to wait, in seconds, and how often to try in all."""

    connect_s: float = 4.0
    stall_s: float = 30.0
    attempts: int = 4
    connect_attempts: int = 2
    first_wait_s: float = 0.5


class UnreachableError(AssetError):
    """Nobody answers at an address."""


class _RefusedError(Exception):
    """An answer of another status than wanted. Unlike httpx's own, its text holds no address."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"HTTP {answer.status_code}")
        self.status = answer.status_code
        seconds = answer.headers.get("Retry-After", "")
        self.retry_after_s = min(float(seconds), _LONGEST_WAIT_S) if seconds.isdigit() else None


class Fetcher:
    """One HTTP client for all downloads, made when it is first needed.

    A host that could not be reached is not tried again: on a machine without a network every file would
    cost its time-out anew.
    """

    def __init__(self, config: IndexConfig, patience: Patience | None = None) -> None:
        self.config = config
        self._patience = patience or Patience()
        self._client: httpx.Client | None = None
        self._unreachable: set[str] = set()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Fetcher:
        """Trusts the certificates and asks the indexes that pip and uv would."""
        return cls(index_config(environ))

    def close(self) -> None:
        """Ends the client's connections; the next download makes a new one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def page(self, url: str, accept: str) -> httpx.Response:
        """A whole small page. Raises AssetError for any answer but 200, UnreachableError for none."""

        def get() -> httpx.Response:
            address, auth = _without_credentials(url)
            answer = self._http().get(address, headers={"Accept": accept}, auth=auth)
            if answer.status_code != HTTPStatus.OK:
                raise _RefusedError(answer)
            return answer

        return self._retried(url, get, self._patience.connect_attempts)

    def download(
        self,
        url: str,
        target: Path,
        on_bytes: OnBytes,
        *,
        expected_bytes: int | None = None,
        connect_attempts: int | None = None,
    ) -> None:
        """Completes `target`, going on after the bytes it already holds when the server can do that.

        Each byte that arrives renews the attempts. Raises AssetError; `target` then keeps what came.
        An answer whose length is not `expected_bytes` is refused before it is read.
        """
        attempts = connect_attempts or self._patience.connect_attempts
        while True:
            before = _size(target)
            try:
                self._retried(url, lambda: self._append(url, target, on_bytes, expected_bytes), attempts)
                return
            except UnreachableError:
                raise
            except AssetError:
                if _size(target) <= before:
                    raise

    def _append(self, url: str, target: Path, on_bytes: OnBytes, expected_bytes: int | None) -> None:
        start = _size(target)
        if start and start == expected_bytes:
            return
        address, auth = _without_credentials(url)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with self._http().stream("GET", address, headers=headers, auth=auth) as answer:
            if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                target.unlink()  # what is here is longer than what is there: it is another file
            if not answer.is_success:
                raise _RefusedError(answer)
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                start = 0
            total = _total(answer, start)
            if None not in (expected_bytes, total) and total != expected_bytes:
                raise AssetError(f"{masked(url)} offers {total:,} bytes instead of {expected_bytes:,}")
            _write(answer, target, start, total, on_bytes)

    def _retried(self, url: str, work: Callable[[], _Result], connect_attempts: int) -> _Result:
        """Runs `work`, again when the failure may pass, and says in an AssetError what it was."""
        import httpx
        import stamina

        _keep_off_stderr("stamina")
        host = urlsplit(url).netloc.rpartition("@")[2]
        if host in self._unreachable:
            raise UnreachableError(f"{host} could not be reached before")
        patience = self._patience
        failed_connects = 0

        def worth_retrying(error: Exception) -> bool | float:
            nonlocal failed_connects
            if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
                failed_connects += 1
                return failed_connects < connect_attempts and not _is_distrust(error)
            if isinstance(error, _RefusedError):
                return error.status in _RETRIED_STATUSES | {416} and (error.retry_after_s or True)
            is_transport = isinstance(error, httpx.TransportError)
            return is_transport and not isinstance(error, httpx.UnsupportedProtocol)

        try:
            for attempt in stamina.retry_context(
                on=worth_retrying,
                attempts=patience.attempts,
                timeout=None,
                wait_initial=patience.first_wait_s,
                wait_jitter=patience.first_wait_s,
            ):
                with attempt:
                    return work()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            self._unreachable.add(host)
            raise _unreachable(host, error) from error
        except _RefusedError as error:
            raise _refused(url, error) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AssetError(f"{masked(url)}: {_reason(error, patience)}") from error
        raise AssertionError("the last attempt returns or raises")

    def _http(self) -> httpx.Client:
        import httpx

        if self._client is None:
            patience = self._patience
            self._client = httpx.Client(
                timeout=httpx.Timeout(patience.stall_s, connect=patience.connect_s),
                verify=_trust(self.config.certificates),
                proxy=self.config.proxy,
                follow_redirects=True,
                headers={"User-Agent": f"aivax/{__version__}"},
            )
        return self._client


def _write(answer: httpx.Response, target: Path, start: int, total: int | None, on_bytes: OnBytes) -> None:
    import httpx

    done = start
    with target.open("r+b" if start else "wb") as file:
        file.seek(start)
        on_bytes(done, total)
        for piece in answer.iter_raw():
            file.write(piece)
            done += len(piece)
            on_bytes(done, total)
    if total is not None and done < total:
        raise httpx.RemoteProtocolError(f"it ended after {done:,} of {total:,} bytes")


def _total(answer: httpx.Response, start: int) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _without_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """Credentials travel beside the address: the client's log then cannot show them."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    name, _, password = user.partition(":")
    return urlunsplit(parts._replace(netloc=host)), (unquote(name), unquote(password))


def _trust(certificates: Path | None) -> ssl.SSLContext:
    """The certificates that the user named, else the system's and Mozilla's."""
    if certificates is not None:
        folder = certificates.is_dir()
        return ssl.create_default_context(
            cafile=None if folder else str(certificates), capath=str(certificates) if folder else None
        )
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _keep_off_stderr(logger: str) -> None:
    """Python prints warnings that nobody handles; whoever configures logging still gets them."""
    quiet = logging.getLogger(logger)
    if not quiet.handlers:
        quiet.addHandler(logging.NullHandler())


def _is_distrust(error: Exception) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _unreachable(host: str, error: Exception) -> UnreachableError:
    if _is_distrust(error):
        return UnreachableError(
            f"{host}: its certificate is not trusted",
            fix="name your organisation's certificates in SSL_CERT_FILE",
        )
    return UnreachableError(f"{host} cannot be reached ({str(error) or 'no answer'})")


def _refused(url: str, error: _RefusedError) -> AssetError:
    if error.status in _CREDENTIALS_WANTED:
        return AssetError(f"{masked(url)} answered HTTP {error.status}", fix="check the index's credentials")
    return AssetError(f"{masked(url)} answered HTTP {error.status}")


def _reason(error: Exception, patience: Patience) -> str:
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return f"nothing came for {patience.stall_s:g} s"
    return str(error) or type(error).__name__
