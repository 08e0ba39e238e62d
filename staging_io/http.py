"""HTTP for pods and submitters: pools, TLS, proxies and time-outs in one place.

One `HttpClient` holds the connections of a program.  It neither retries nor follows redirects: both are decisions of
its callers.  Every foreign exception leaves here as one of ours.
"""

import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Final
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError

from staging_protocol.errors import InvalidRequest, RefusedByPolicy, SourceUnavailable
from staging_protocol.tokens import Token

Body = bytes | IO[bytes] | Iterable[bytes]

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How to reach other machines.

    Attributes:
        connect_timeout: seconds until a connection must stand.
        stall_timeout: seconds without a single byte after which a peer counts as gone.
        connections: connections kept for each host.
        ca_file: PEM file of authorities that are trusted besides the system's.
        proxies: URL of the proxy by scheme of the request (`http`, `https`).
        no_proxy: hosts and domain suffixes that are reached directly.
        user_agent: how the program names itself.
    """

    connect_timeout: float = 10.0
    stall_timeout: float = 60.0
    connections: int = 16
    ca_file: str | None = None
    proxies: Mapping[str, str] = field(default_factory=dict)
    no_proxy: tuple[str, ...] = ()
    user_agent: str = "spark-staging"


class HttpClient:
    """Connections to any number of hosts; safe to use from several threads."""

    def __init__(self, settings: HttpSettings | None = None) -> None:
        self._settings = settings or HttpSettings()
        self._managers: dict[tuple[str, str | None], urllib3.PoolManager] = {}

    @contextmanager
    def open(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Body | None = None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Send one request and yield its answer, whatever its status, with the body still to be read.

        A body that was not read to its end costs the connection.

        Raises:
            SourceUnavailable: no connection, no answer, or a body that ends early; also while the caller reads.
            InvalidRequest: the URL is none.
        """
        try:
            answer = self._manager(url).request(
                method, url, headers=self._headers(headers), body=body, redirect=False, retries=False,
                preload_content=False, decode_content=False, timeout=self._timeout(),
            )  # fmt: skip
        except LocationValueError as error:
            msg = f"{url!r} is not a URL"
            raise InvalidRequest(msg) from error
        except (HTTPError, OSError) as error:
            raise _unavailable(url, error) from error
        try:
            yield answer
        except (HTTPError, ssl.SSLError, TimeoutError, ConnectionError) as error:
            raise _unavailable(url, error) from error
        finally:
            answer.release_conn() if _whole(answer) else answer.close()

    def close(self) -> None:
        """Close all connections."""
        for manager in self._managers.values():
            manager.clear()

    def _headers(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        # Encoded bodies have other sizes and digests than the ones we were promised.
        return {"User-Agent": self._settings.user_agent, "Accept-Encoding": "identity", **(headers or {})}

    def _timeout(self) -> urllib3.Timeout:
        return urllib3.Timeout(connect=self._settings.connect_timeout, read=self._settings.stall_timeout)

    def _manager(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = None if self._is_direct(parts.hostname or "") else self._settings.proxies.get(parts.scheme)
        key = (parts.scheme, proxy)
        if key not in self._managers:
            self._managers[key] = self._new_manager(scheme=parts.scheme, proxy=proxy)
        return self._managers[key]

    def _new_manager(self, *, scheme: str, proxy: str | None) -> urllib3.PoolManager:
        # Loading the system's authorities takes 20 ms: not for plain HTTP.
        context = self._tls() if scheme == "https" else None
        connections = self._settings.connections
        if proxy is None:
            return urllib3.PoolManager(maxsize=connections, ssl_context=context)
        return urllib3.ProxyManager(proxy, maxsize=connections, ssl_context=context)

    def _is_direct(self, host: str) -> bool:
        return host in _LOOPBACK or any(
            entry == "*" or host == entry.lstrip(".") or host.endswith(f".{entry.lstrip('.')}")
            for entry in self._settings.no_proxy
        )

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._settings.ca_file is not None:
            try:
                context.load_verify_locations(cafile=self._settings.ca_file)
            except (OSError, ssl.SSLError) as error:
                msg = f"{self._settings.ca_file} is not a readable PEM file of certificates: {error}"
                raise InvalidRequest(msg) from error
        return context


def bearer(token: Token, *, url: str, allow_plain_http: bool) -> dict[str, str]:
    """Return the Authorization header for `url`.

    Raises:
        RefusedByPolicy: the token would travel readable to another machine, and no setting allows that.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK and not allow_plain_http:
        msg = (
            f"refusing to send a token to {parts.scheme}://{parts.hostname} in clear text; "
            "use https, or set SPARK_STAGING_ALLOW_PLAIN_HTTP=true in a network that you trust"
        )
        raise RefusedByPolicy(msg)
    return {"Authorization": f"Bearer {token.text}"}


def _whole(answer: urllib3.BaseHTTPResponse) -> bool:
    return getattr(answer, "length_remaining", None) == 0 or answer.closed


def _unavailable(url: str, error: BaseException) -> SourceUnavailable:
    parts = urlsplit(url)
    reason = str(error).rpartition(": ")[2] or type(error).__name__
    return SourceUnavailable(f"{parts.scheme}://{parts.hostname}:{parts.port or ''} does not answer: {reason}")
