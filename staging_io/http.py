"""HTTP for pods and submitters: connections, TLS, proxies and time-outs in one place.

One `HttpClient` holds the connections of a program.  It neither retries nor follows redirects: both are decisions of
its callers.  Every foreign exception leaves here as one of ours.

There are two ways out.  Requests whose body is in memory and that need no proxy go by `http1`, which costs little.
Uploads and proxies go by urllib3 (`pooled`), which is loaded then.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Final, Protocol
from urllib.parse import SplitResult, urlsplit

from staging_io import http1
from staging_protocol.errors import InvalidRequest, RefusedByPolicy, SourceUnavailable
from staging_protocol.tokens import Token

if TYPE_CHECKING:
    import ssl

    from staging_io.pooled import PooledClient

Body = bytes | IO[bytes] | Iterable[bytes]

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Answer(Protocol):
    """An answer whose body is still to be read.  Reading raises SourceUnavailable when the connection breaks."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, found in any letter case."""

    def read(self, amt: int | None = None) -> bytes:
        """Return the body, or at most `amt` bytes of it."""

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer`; less than its size, at last 0, means that the body ends, or broke off without a word."""


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
        self._idle: defaultdict[tuple[str, str], list[http1.Connection]] = defaultdict(list)
        self._context: ssl.SSLContext | None = None
        self._pooled: PooledClient | None = None

    def open(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Body | None = None
    ) -> AbstractContextManager[Answer]:
        """Send one request and yield its answer, whatever its status, with the body still to be read.

        A body that was not read to its end costs the connection.

        Raises:
            SourceUnavailable: no connection, no answer, or a body that ends early; also while the caller reads.
            InvalidRequest: the URL is none.
        """
        parts = _split(url)
        # Encoded bodies have other sizes and digests than the ones we were promised.
        all_headers = {"User-Agent": self._settings.user_agent, "Accept-Encoding": "identity", **(headers or {})}
        proxy = self._settings.proxies.get(parts.scheme)
        if proxy is not None and self._is_direct(parts.hostname or ""):
            proxy = None
        if proxy is None and (body is None or isinstance(body, bytes)):
            return self._open_direct(method, parts, headers=all_headers, body=body)
        return self._pool().open(method, url, headers=all_headers, body=body, proxy=proxy)

    def close(self) -> None:
        """Close all connections."""
        for idle in self._idle.values():
            while idle:
                idle.pop().close()
        if self._pooled is not None:
            self._pooled.close()

    # --- the short way

    @contextmanager
    def _open_direct(
        self, method: str, url: SplitResult, *, headers: Mapping[str, str], body: bytes | None
    ) -> Iterator[Answer]:
        idle = self._idle[url.scheme, url.netloc]
        request = http1.request_bytes(method, url, headers=headers, body=body)
        try:
            connection, answer = self._exchange(method, url, request, idle=idle)
        except OSError as error:
            raise unavailable(url, error) from error
        try:
            yield answer
        finally:
            if answer.is_over and answer.keeps and len(idle) < self._settings.connections:
                idle.append(connection)
            else:
                connection.close()

    def _exchange(
        self, method: str, url: SplitResult, request: bytes, *, idle: list[http1.Connection]
    ) -> tuple[http1.Connection, "_Translated"]:
        while (kept := _usable(idle)) is not None:
            try:
                return kept, self._send(kept, method, url, request)
            except (http1.BadAnswer, ConnectionError):
                # The peer gave it up while our request was on its way.
                if not http1.can_repeat(method):
                    raise
        tls = self.tls() if url.scheme == "https" else None
        fresh = http1.Connection(url, tls=tls, connect_timeout=self._settings.connect_timeout)
        return fresh, self._send(fresh, method, url, request)

    def _send(self, connection: http1.Connection, method: str, url: SplitResult, request: bytes) -> "_Translated":
        try:
            connection.send(request, timeout=self._settings.stall_timeout)
            return _Translated(connection, method=method, url=url)
        except BaseException:
            connection.close()
            raise

    # --- shared

    def _pool(self) -> "PooledClient":
        if self._pooled is None:
            from staging_io.pooled import PooledClient

            self._pooled = PooledClient(self._settings, tls=self.tls)
        return self._pooled

    def _is_direct(self, host: str) -> bool:
        return host in LOOPBACK or any(
            entry == "*" or host == entry.lstrip(".") or host.endswith(f".{entry.lstrip('.')}")
            for entry in self._settings.no_proxy
        )

    def tls(self) -> "ssl.SSLContext":
        """Return what certificates are checked by; loading the system's authorities takes 20 ms, so only when asked."""
        if self._context is None:
            import ssl

            context = ssl.create_default_context()
            if self._settings.ca_file is not None:
                try:
                    context.load_verify_locations(cafile=self._settings.ca_file)
                except OSError as error:
                    msg = f"{self._settings.ca_file} is not a readable PEM file of certificates: {error}"
                    raise InvalidRequest(msg) from error
            self._context = context
        return self._context


class _Translated(http1.Answer):
    """An answer whose errors are ours."""

    __slots__ = ("_url",)

    def __init__(self, connection: http1.Connection, *, method: str, url: SplitResult) -> None:
        super().__init__(connection, method=method)
        self._url = url

    def read(self, amt: int | None = None) -> bytes:
        try:
            return super().read(amt)
        except OSError as error:
            raise unavailable(self._url, error) from error

    def read_into(self, buffer: memoryview) -> int:
        try:
            return super().read_into(buffer)
        except OSError as error:
            raise unavailable(self._url, error) from error


def bearer(token: Token, *, url: str, allow_plain_http: bool) -> dict[str, str]:
    """Return the Authorization header for `url`.

    Raises:
        RefusedByPolicy: the token would travel readable to another machine, and no setting allows that.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK and not allow_plain_http:
        msg = (
            f"refusing to send a token to {parts.scheme}://{parts.hostname} in clear text; "
            "use https, or set SPARK_STAGING_ALLOW_PLAIN_HTTP=true in a network that you trust"
        )
        raise RefusedByPolicy(msg)
    return {"Authorization": f"Bearer {token.text}"}


def unavailable(url: SplitResult, error: BaseException) -> SourceUnavailable:
    """Return our error for a foreign one; it names the host only, because paths and queries may hold secrets."""
    return SourceUnavailable(f"{url.scheme}://{url.netloc.rpartition('@')[2]} does not answer: {_reason(error)}")


def _reason(error: BaseException) -> str:
    inner = error.args[0] if error.args else None
    for candidate in (error, inner):
        if verification := getattr(candidate, "verify_message", None):
            return f"certificate verify failed: {verification}"
    return getattr(error, "strerror", None) or str(error).rpartition(": ")[2] or type(error).__name__


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = _is_origin(parts.scheme, parts.netloc)
    except ValueError:
        valid = False
    if not valid:
        msg = "this is not a URL of http or https"  # it is not repeated: it may hold a secret
        raise InvalidRequest(msg)
    return parts


@lru_cache(maxsize=256)
def _is_origin(scheme: str, netloc: str) -> bool:
    parts = SplitResult(scheme, netloc, "", "", "")
    return scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0


def _usable(idle: list[http1.Connection]) -> http1.Connection | None:
    while idle:
        try:
            connection = idle.pop()
        except IndexError:
            return None  # another thread was faster
        if not connection.is_dropped():
            return connection
        connection.close()
    return None
