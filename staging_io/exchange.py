"""What an HTTP exchange is to us: how to reach a peer, what it answers, and the error when it does not."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import SplitResult

import msgspec

from staging_protocol.errors import PeerNotTrusted, SourceUnavailable

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

    def close(self) -> None:
        """Give the connection back; a body that was not read to its end costs it.  Doing it again is harmless."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
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
    proxies: Mapping[str, str] = msgspec.field(default_factory=dict)
    no_proxy: tuple[str, ...] = ()
    user_agent: str = "spark-staging"


def unavailable(url: SplitResult, error: BaseException) -> SourceUnavailable | PeerNotTrusted:
    """Return our error for a foreign one; it names the host only, because paths and queries may hold secrets."""
    host = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
    if doubt := _doubt(error):
        return PeerNotTrusted(
            f"{host} is not trusted: {doubt}; if it has an authority of its own, say so (SPARK_STAGING_CA_FILE of a "
            "submitter, pod_ca_file of the server for pods)"
        )
    return SourceUnavailable(f"{host} does not answer: {_reason(error)}")


def _doubt(error: BaseException) -> str | None:
    """Return what is wrong with the peer's certificate, if that is the reason."""
    inner = error.args[0] if error.args else None
    for candidate in (error, inner, getattr(inner, "reason", None), getattr(error, "reason", None)):
        if verification := getattr(candidate, "verify_message", None):
            return str(verification)
    return None


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error).rpartition(": ")[2] or type(error).__name__
