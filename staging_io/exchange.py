"""What an HTTP exchange is to us: how to reach a peer, what it answers, and the error when it does not."""

import re
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self
from urllib.parse import SplitResult

import msgspec

from staging_protocol.errors import Denied, PeerNotTrusted, SourceUnavailable, StagingError, Unauthenticated

if TYPE_CHECKING:
    import ssl

_PORTS: Final = {"http": 80, "https": 443}
_ABOUT_US: Final = frozenset(
    {
        "CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNSUPPORTED_CERTIFICATE", "CERTIFICATE_REVOKED",
        "CERTIFICATE_EXPIRED", "CERTIFICATE_UNKNOWN", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE",
    }
)  # fmt: skip
"""Alerts of a peer that refuses our certificate, or its lack (RFC 8446, section 6.2; the last one by TLS 1.2)."""

_TUNNEL: Final = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""How http.client words a proxy's refusal; it gives the status in no other way."""

Body = bytes | Iterable[bytes | memoryview]
"""What is sent: bytes, or parts whose sizes add up to the Content-Length that the caller gives."""


class Answer(Protocol):
    """An answer whose body is still to be read.  Reading raises SourceUnavailable when the connection breaks.

    It holds a connection until it is closed; leaving its `with` block closes it.
    """

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

    def read_some(self, buffer: memoryview) -> int:
        """Wait for some bytes and put them into `buffer`; 0 means that the body is over.  For bodies that go on."""

    def close(self) -> None:
        """Give the connection back; a body that was not read to its end costs it.  Doing it again is harmless."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Admission(Protocol):
    """Says where requests may go.  Asked for each request and each new connection, by any thread: it must be quick.

    Behind a proxy, which looks names up by itself, only URLs are asked for.
    """

    def check_url(self, url: SplitResult) -> None:
        """Raise RefusedByPolicy when no request may go to the host of `url`."""

    def check_address(self, url: SplitResult, address: str) -> None:
        """Raise RefusedByPolicy when no connection may go to `address`, which the host of `url` has."""


class ClientPair(msgspec.Struct, frozen=True, kw_only=True):
    """Paths of PEM files: our certificate with its chain, and its key, which may be in the same file."""

    certificate: str
    key: str | None = None


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach other machines.

    Attributes:
        connect_timeout: seconds until a connection must stand.
        stall_timeout: seconds without a single byte after which a peer counts as gone.
        connections: connections kept for each host.
        ca_file: PEM file of authorities that are trusted besides the system's.
        proxies: URL of the proxy by scheme of the request (`http`, `https`).
        no_proxy: hosts and domain suffixes, also with a port, networks, or `*`, that are reached directly.
        user_agent: how the program names itself.
        client_pairs: what is shown to those who ask for a certificate, by `host:port`.
        admission: says where requests may go; None: everywhere.
        tls: gives the TLS context for a URL, where `ca_file` and `client_pairs` do not say enough; None: they do.
    """

    connect_timeout: float = 10.0
    stall_timeout: float = 60.0
    connections: int = 16
    ca_file: str | None = None
    proxies: Mapping[str, str] = msgspec.field(default_factory=dict)
    no_proxy: tuple[str, ...] = ()
    user_agent: str = "spark-staging"
    client_pairs: Mapping[str, ClientPair] = msgspec.field(default_factory=dict)
    admission: Admission | None = None
    tls: "Callable[[SplitResult], ssl.SSLContext] | None" = None


def authority_of(url: SplitResult) -> str:
    """Return `host:port` of a URL, whether it names its port or not."""
    host = url.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{url.port or _PORTS.get(url.scheme, 0)}"


def unavailable(url: SplitResult, error: BaseException) -> StagingError:
    """Return our error for a foreign one; it names the host only, because paths and queries may hold secrets."""
    host = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
    for cause in _causes(error):
        if doubt := getattr(cause, "verify_message", None):
            return PeerNotTrusted(
                f"{host} is not trusted: {doubt}; if it has an authority of its own, say so (connection.ca_file in "
                "sources.json for sources; for the staging server SPARK_STAGING_CA_FILE of a submitter, pod_ca_file of "
                "the server for pods)"
            )
        if str(getattr(cause, "reason", "")).partition("_ALERT_")[2] in _ABOUT_US:
            return Unauthenticated(
                f"{host} refuses our certificate, or that we have none; see http.hosts in sources.json"
            )
        if refusal := _TUNNEL.match(str(cause)):
            return _refused_by_proxy(int(refusal[1]), host=host)
    return SourceUnavailable(f"{host} does not answer: {_reason(error)}")


def _causes(error: BaseException) -> tuple[object, ...]:
    """Return an error and those that urllib3 has wrapped into it."""
    inner = error.args[0] if error.args else None
    candidates = (error, inner, getattr(inner, "reason", None), getattr(error, "reason", None))
    return (*candidates, getattr(error, "original_error", None))


def _refused_by_proxy(status: int, *, host: str) -> StagingError:
    match status:
        case 407:
            return Denied(f"the proxy wants credentials to connect to {host}; write user and password into its URL")
        case 401 | 403 | 404 | 405 | 451:
            return Denied(f"the proxy refuses to connect to {host} ({status})")
        case _:
            return SourceUnavailable(f"the proxy cannot connect to {host} ({status})")


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error).rpartition(": ")[2] or type(error).__name__
