"""A connection that can be found among all others, and closed from outside."""

import asyncio
import socket
from dataclasses import dataclass
from typing import Any

from staging_server.connections.connection import Connection
from staging_server.connections.open_connections import Member, OpenConnections
from staging_server.connections.pace import cut


@dataclass(frozen=True, slots=True)
class Arrival:
    """What another process knows of a connection: bytes that it has read, and the client's address if need be."""

    first: bytes
    peer: tuple[str, int] | None = None


class WatchedConnection(Connection):
    """A `Connection` that is a member of the open ones, until its last byte is sent or thrown away.

    Attributes:
        in_reserve: it is beyond the limit, and nothing but probes is answered.
        arrival: how it came from another process, if it did.
    """

    __slots__ = ("_open", "_socket", "arrival", "in_reserve")

    def __init__(self, *args: Any, connections: OpenConnections, **options: Any) -> None:
        """`connections` are the process's; the rest is `Connection`'s."""
        super().__init__(*args, **options)
        self._open = connections
        self._socket: socket.socket | None = None
        self.in_reserve = False
        self.arrival: Arrival | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the others."""
        self._socket = transport.get_extra_info("socket")
        self._open.add(self)
        arrival = self.arrival
        if arrival is not None and arrival.peer is not None:
            # asyncio asks the socket, which is one end of a pair here; there is no public way to know better.
            transport._extra["peername"] = arrival.peer  # type: ignore[attr-defined]  # noqa: SLF001
        super().connection_made(transport)
        # Who has not asked for anything yet has no longer for it than for the rest of a head.
        self._head_deadline = self._loop.call_later(self._limits.head, self.force_close)
        if arrival is not None and arrival.first:
            # Now, before the transport reads what follows.
            self.data_received(arrival.first)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave them."""
        self._socket = None
        self._open.discard(self)
        super().connection_lost(exc)

    @property
    def waits_since(self) -> float | None:
        """See `open_connections.Member`."""
        if self._waiter is None or self._waiter.done() or self._force_close:
            return None
        # aiohttp keeps when an idle connection ends, and nothing else; it is set at the start and after each request.
        return self._next_keepalive_close_time - self._keepalive_timeout

    @property
    def wire(self) -> socket.socket | None:
        """See `pace.Paced`."""
        return self._socket

    def give_up(self) -> None:
        """Close it now; what its client has not taken is lost."""
        connected = self._socket
        if connected is not None:
            # A file that is being sent by the kernel has a descriptor of its own for this connection.
            cut(connected)
        if self.transport is not None:
            self.transport.abort()


@dataclass(frozen=True, slots=True, eq=False)
class Handshake:
    """A connection that is not yet one: its TLS handshake is under way."""

    since: float
    task: asyncio.Task[None] | None

    @property
    def waits_since(self) -> float | None:
        """It only ever waits for its client."""
        return self.since

    @property
    def wire(self) -> None:
        """Nothing is sent on it that its client could take slowly."""
        return

    def give_up(self) -> None:
        """End the attempt."""
        if self.task is not None:
            self.task.cancel()


def _are_members(connection: WatchedConnection, handshake: Handshake) -> tuple[Member, Member]:
    return connection, handshake
