"""HTTP by urllib3, for proxies."""

import ssl
from collections.abc import Callable, Mapping
from http.client import HTTPException
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, ProxyError, ProxySchemeUnknown
from urllib3.exceptions import SSLError as TlsError

from staging_io.exchange import Answer, Body, HttpSettings, unavailable
from staging_protocol.errors import InvalidRequest


class PooledClient:
    """urllib3's pools, one manager for each proxy and TLS context."""

    def __init__(
        self,
        settings: HttpSettings,
        *,
        tls: Callable[[SplitResult], ssl.SSLContext],
        proxy_tls: Callable[[SplitResult], ssl.SSLContext],
    ) -> None:
        """`tls` gives the context for peers, `proxy_tls` the one for proxies that are spoken to by TLS themselves."""
        self._settings = settings
        self._tls = tls
        self._proxy_tls = proxy_tls
        self._managers: dict[tuple[str, ssl.SSLContext | None], urllib3.ProxyManager] = {}

    def open(self, method: str, url: str, *, headers: Mapping[str, str], body: Body | None, proxy: str) -> Answer:
        """Send one request and return its answer."""
        parts = urlsplit(url)
        timeout = urllib3.Timeout(connect=self._settings.connect_timeout, read=self._settings.stall_timeout)
        try:
            answer = self._manager(parts, proxy=proxy).request(
                method, _with_dots(url), headers=headers, redirect=False, retries=False,
                body=body,  # type: ignore[arg-type] # it sends whatever a socket takes, so views of memory, too
                preload_content=False, decode_content=False, timeout=timeout,
            )  # fmt: skip
        except ProxySchemeUnknown as error:
            msg = "the proxy of the settings or the environment is not a URL of http or https"
            raise InvalidRequest(msg) from error
        except LocationValueError as error:
            msg = "this is not a URL of http or https"  # it is not repeated: it may hold a secret
            raise InvalidRequest(msg) from error
        except ProxyError as error:
            # What keeps TLS with a proxy from standing is about the proxy; a tunnel that it refuses is about the peer.
            is_tls = isinstance(error.original_error, TlsError)
            raise unavailable(urlsplit(proxy) if is_tls else parts, error.original_error) from error
        except (HTTPError, OSError) as error:
            raise unavailable(parts, error) from error
        return PooledAnswer(answer, parts)

    def close(self) -> None:
        """Close all connections."""
        for manager in self._managers.values():
            manager.clear()

    def _manager(self, url: SplitResult, *, proxy: str) -> urllib3.ProxyManager:
        context = self._tls(url) if url.scheme == "https" else None
        if (proxy, context) not in self._managers:
            to = urlsplit(proxy)
            self._managers[proxy, context] = urllib3.ProxyManager(
                proxy, maxsize=self._settings.connections, ssl_context=context, proxy_headers=_shown_to(proxy),
                proxy_ssl_context=self._proxy_tls(to) if to.scheme == "https" else None,
            )  # fmt: skip
        return self._managers[proxy, context]


def _with_dots(url: str) -> str:
    """Return `url` with the names `.` and `..` in its path encoded: urllib3 resolves them, but S3 has such keys."""
    if "/." not in url:
        return url
    parts = urlsplit(url)
    names = (name.replace(".", "%2E") if name in {".", ".."} else name for name in parts.path.split("/"))
    return parts._replace(path="/".join(names)).geturl()


def _shown_to(proxy: str) -> Mapping[str, str]:
    """Return the credentials that the URL of a proxy has, which urllib3 does not look at."""
    url = urlsplit(proxy)
    if url.username is None:
        return {}
    return urllib3.make_headers(proxy_basic_auth=f"{unquote(url.username)}:{unquote(url.password or '')}")


class PooledAnswer:
    """An answer of urllib3 whose errors are ours."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, url: SplitResult) -> None:
        self._answer = answer
        self._url = url

    @property
    def status(self) -> int:
        """The status code."""
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""
        return self._answer.headers

    def read(self, amt: int | None = None) -> bytes:
        """Return the body, or at most `amt` bytes of it."""
        try:
            return self._answer.read(amt)
        except (HTTPError, HTTPException, OSError) as error:
            raise unavailable(self._url, error) from error

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer`; it reads past urllib3, whose own `readinto` copies every byte twice."""
        raw = self._answer._fp  # type: ignore[attr-defined]  # noqa: SLF001 - no public way to the unbuffered body
        try:
            return int(raw.readinto(buffer))
        except (HTTPException, OSError, ValueError) as error:
            # ValueError: the size of a chunk is no number.
            raise unavailable(self._url, error) from error

    def read_some(self, buffer: memoryview) -> int:
        """Wait for some bytes; urllib3's own `read1` fills buffers of its own first."""
        raw = self._answer._fp  # type: ignore[attr-defined]  # noqa: SLF001 - as above
        try:
            found: bytes = raw.read1(len(buffer))
        except (HTTPException, OSError, ValueError) as error:
            raise unavailable(self._url, error) from error
        if not found and raw.length:
            raise unavailable(self._url, OSError(f"the body broke off, {raw.length} bytes before its end"))
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        """Give the connection back when the answer was read to its end, else close it."""
        answer = self._answer
        if not answer.closed and getattr(answer, "length_remaining", None) == 0:
            answer.drain_conn()  # a body of no bytes has to be read too, before the next request
        if answer.closed:
            answer.release_conn()
        else:
            answer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


_: type[Answer] = PooledAnswer
