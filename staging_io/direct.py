"""HTTP without a proxy, over kept connections: the short way, for requests whose body is in memory.

It tries again in one case only: a kept connection that turns out to be closed before the first byte of the answer
(RFC 9112, section 9.3.1), for methods that can be repeated.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import SplitResult

from staging_io import http1
from staging_io.connection import BadAnswer, Connection
from staging_io.exchange import Answer, HttpSettings, unavailable

if TYPE_CHECKING:
    import ssl


class DirectClient:
    """The idle connections of a program, by origin."""

    def __init__(self, settings: HttpSettings, *, tls: "Callable[[], ssl.SSLContext]") -> None:
        self._settings = settings
        self._tls = tls
        self._idle: defaultdict[tuple[str, str], list[Connection]] = defaultdict(list)

    def open(self, method: str, url: SplitResult, *, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """Send one request and return its answer."""
        idle = self._idle[url.scheme, url.netloc]
        request = http1.request_bytes(method, url, headers=headers, body=body)
        try:
            while (kept := _usable(idle)) is not None:
                try:
                    return self._ask(kept, method, url, request)
                except (BadAnswer, ConnectionError):
                    # The peer gave it up while our request was on its way.
                    if not http1.can_repeat(method):
                        raise
            return self._ask(self._connect(url), method, url, request)
        except OSError as error:
            raise unavailable(url, error) from error

    def close(self) -> None:
        """Close all connections."""
        for idle in self._idle.values():
            while idle:
                idle.pop().close()

    def leave(self, connection: Connection, *, url: SplitResult, reusable: bool) -> None:
        """Take back the connection of an answer that nobody needs any more."""
        idle = self._idle[url.scheme, url.netloc]
        if reusable and len(idle) < self._settings.connections:
            idle.append(connection)
        else:
            connection.close()

    def _connect(self, url: SplitResult) -> Connection:
        settings = self._settings
        return Connection(
            url, tls=self._tls() if url.scheme == "https" else None,
            connect_timeout=settings.connect_timeout, stall_timeout=settings.stall_timeout,
        )  # fmt: skip

    def _ask(self, connection: Connection, method: str, url: SplitResult, request: bytes) -> "DirectAnswer":
        try:
            connection.send(request)
            return DirectAnswer(connection, method=method, url=url, client=self)
        except BaseException:
            connection.close()
            raise


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
    while idle:
        try:
            connection = idle.pop()
        except IndexError:
            return None  # another thread was faster
        if not connection.is_dropped():
            return connection
        connection.close()
    return None


_: type[Answer] = DirectAnswer
