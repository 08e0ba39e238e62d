"""Takes connections from the listening socket: with a limit, with TLS when there is a certificate, few at a time.

asyncio's own server takes all that wait at once, which would give one of several processes a whole job's executors.  It
also keeps the certificate that it was started with, and has no limit.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from staging_server.connections.open_connections import OpenConnections
from staging_server.connections.watched import Arrival, Handshake, WatchedConnection

_log: Final = structlog.get_logger("connection")

_AT_ONCE: Final = 8
"""Connections taken before other processes that wait on the same socket have a chance."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE: Final = 0.5
"""Seconds in which nothing is taken after the system had no files or memory left."""

_GOODBYE: Final = 2.0
"""Seconds for a client to answer the end of TLS (close_notify); many never do."""


class ConnectionObserver(Protocol):
    """Is told what becomes of connections; never waits."""

    def connection_closed(self, *, reason: str) -> None:
        """We closed a connection: `full`, `crowded-out`, `slow`, or `handshake`."""
        ...


class Acceptor:
    """Accepts until `close`; what it accepted goes on."""

    def __init__(
        self,
        listener: socket.socket,
        *,
        connection: Callable[[], WatchedConnection],
        connections: OpenConnections,
        tls: Callable[[], ssl.SSLContext | None],
        handshake: float,
        observer: ConnectionObserver,
    ) -> None:
        """`tls` is asked for each connection, `handshake` is in seconds."""
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._connection = connection
        self._connections = connections
        self._tls = tls
        self._handshake = handshake
        self._observer = observer
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._loop.add_reader(listener, self._accept)

    async def close(self) -> None:
        """Take nothing more, and give up handshakes that are under way.  The listener stays the caller's."""
        self._closed = True
        self._loop.remove_reader(self._listener)
        for task in self._tasks:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._pause(error)
                return
            self._take(accepted)

    def adopt(self, connected: socket.socket, arrival: Arrival) -> None:
        """Take a connection that another process accepted; its TLS, if any, ends there."""
        if self._closed:
            connected.close()
        else:
            self._take(connected, arrival)

    def _take(self, accepted: socket.socket, arrival: Arrival | None = None) -> None:
        for _ in range(self._connections.make_room()):
            self._observer.connection_closed(reason="crowded-out")
        if self._connections.is_full:
            self._observer.connection_closed(reason="full")
            accepted.close()
            return
        accepted.setblocking(False)
        connection = self._connection()
        connection.in_reserve = not self._connections.has_room
        connection.arrival = arrival
        task = self._loop.create_task(self._connect(accepted, connection, self._tls() if arrival is None else None))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._done(task, accepted))

    def _done(self, task: asyncio.Task[None], accepted: socket.socket) -> None:
        self._tasks.discard(task)
        if task.cancelled():  # perhaps before its first step
            accepted.close()

    async def _connect(
        self, accepted: socket.socket, connection: WatchedConnection, context: ssl.SSLContext | None
    ) -> None:
        if context is None:
            await self._loop.connect_accepted_socket(lambda: connection, accepted)
            return
        # Until it is done, the handshake has the connection's place.
        place = Handshake(since=self._loop.time(), task=asyncio.current_task())
        self._connections.add(place)
        try:
            await self._loop.connect_accepted_socket(
                lambda: connection, accepted, ssl=context,
                ssl_handshake_timeout=self._handshake, ssl_shutdown_timeout=_GOODBYE,
            )  # fmt: skip
        except OSError as error:
            # A scanner, a client that does not trust us, plain HTTP, or nothing at all: no fault of ours.
            self._observer.connection_closed(reason="handshake")
            _log.info("no TLS connection", error=getattr(error, "reason", None) or str(error) or type(error).__name__)
        finally:
            self._connections.discard(place)

    def _pause(self, error: OSError) -> None:
        _log.error("cannot take more connections", error=error.strerror)
        self._loop.remove_reader(self._listener)
        self._loop.call_later(_PAUSE, self._go_on)

    def _go_on(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener, self._accept)
