"""HTTP without a proxy, over kept connections: the short way.

It tries again in one case only: a kept connection that turns out to be closed before the first byte of the answer
(RFC 9112, section 9.3.1), for methods that can be repeated.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import SplitResult

from staging_io import http1
from staging_io.connection import BadAnswer, Connection
from staging_io.exchange import Answer, Body, HttpSettings, unavailable

if TYPE_CHECKING:
    import ssl


class DirectClient:
    """The idle connections of a program, by origin."""

    def __init__(self, settings: HttpSettings, *, tls: "Callable[[SplitResult], ssl.SSLContext]") -> None:
        self._settings = settings
        self._tls = tls
        self._idle: defaultdict[tuple[str, str], list[Connection]] = defaultdict(list)
        self._is_closed = False

    def open(self, method: str, url: SplitResult, *, headers: Mapping[str, str], body: Body | None) -> Answer:
        """Send one request and return its answer.  What the parts of a body raise passes through."""
        idle = self._idle[url.scheme, url.netloc]
        whole, parts = (body, None) if body is None or isinstance(body, bytes) else (None, body)
        request = http1.request_bytes(method, url, headers=headers, body=whole)
        try:
            while (kept := _usable(idle)) is not None:
                try:
                    return self._ask(kept, method, url, request, parts)
                except (BadAnswer, ConnectionError):
                    # The peer gave it up while our request was on its way.
                    if not http1.can_repeat(method):
                        raise
            return self._ask(self._connect(url), method, url, request, parts)
        except OSError as error:
            raise unavailable(url, error) from error

    def close(self) -> None:
        """Close all connections, also those that other threads still use as soon as they leave them."""
        self._is_closed = True
        for idle in list(self._idle.values()):
            while (connection := _taken(idle)) is not None:
                connection.close()

    def leave(self, connection: Connection, *, url: SplitResult, reusable: bool) -> None:
        """Take back the connection of an answer that nobody needs any more."""
        idle = self._idle[url.scheme, url.netloc]
        if reusable and not self._is_closed and len(idle) < self._settings.connections:
            idle.append(connection)
            if self._is_closed:  # just now
                self.close()
        else:
            connection.close()

    def _connect(self, url: SplitResult) -> Connection:
        settings = self._settings
        return Connection(
            url, tls=self._tls(url) if url.scheme == "https" else None, admission=settings.admission,
            connect_timeout=settings.connect_timeout, stall_timeout=settings.stall_timeout,
        )  # fmt: skip

    def _ask(
        self,
        connection: Connection,
        method: str,
        url: SplitResult,
        request: bytes,
        parts: Iterable[bytes | memoryview] | None,
    ) -> "DirectAnswer":
        try:
            if parts is None:
                connection.send(request)
                is_whole = True
            else:
                is_whole = connection.send_in_parts(request, parts)
            answer = DirectAnswer(connection, method=method, url=url, client=self)
            answer.keeps = answer.keeps and is_whole
        except BaseException:
            connection.close()
            raise
        return answer


class DirectAnswer(http1.Answer):
    """An answer whose errors are ours, and which gives its connection back."""

    __slots__ = ("_client", "_is_left", "_url")

    def __init__(self, connection: Connection, *, method: str, url: SplitResult, client: DirectClient) -> None:
        super().__init__(connection, method=method)
        self._url = url
        self._client = client
        self._is_left = False

    def read(self, amt: int | None = None) -> bytes:
        """Return the body, or at most `amt` bytes of it."""
        try:
            return super().read(amt)
        except OSError as error:
            raise unavailable(self._url, error) from error

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer`."""
        try:
            return super().read_into(buffer)
        except OSError as error:
            raise unavailable(self._url, error) from error

    def read_some(self, buffer: memoryview) -> int:
        """Wait for some bytes."""
        try:
            return super().read_some(buffer)
        except OSError as error:
            raise unavailable(self._url, error) from error

    def close(self) -> None:
        """Give the connection back."""
        if not self._is_left:
            self._is_left = True
            self._client.leave(self._connection, url=self._url, reusable=self.is_over and self.keeps)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _usable(idle: list[Connection]) -> Connection | None:
    while (connection := _taken(idle)) is not None:
        if not connection.is_dropped():
            return connection
        connection.close()
    return None


def _taken(idle: list[Connection]) -> Connection | None:
    try:
        return idle.pop()
    except IndexError:
        return None  # another thread was faster


_: type[Answer] = DirectAnswer
