"""A connection whose TLS ends in this process, and whose requests are answered by another one.

    client ══ TLS ══ outer end ── bytes, both ways ── inner end ── socket pair ── parent

Each side is read as fast as the other one takes it.  When one side ends, the other is closed once it has got all.
"""

import asyncio
import socket

from staging_server.connections.open_connections import Member, OpenConnections
from staging_server.connections.pace import cut


class _End(asyncio.Protocol):
    """One side; `other` is where its bytes go."""

    other: "_End"
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for mypy: a stream has nothing else
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        if self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> None:
        """Let the transport close: nobody sends more, and TLS knows no half-open connections."""

    def pause_writing(self) -> None:
        """Let the other side wait."""
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Let the other side go on."""
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - asyncio's signature
        """End the other side, too; it sends what it has got first."""
        self.transport = None
        if self.other.transport is not None:
            self.other.transport.close()


class Relay(_End):
    """The side of the client; a member of the open connections like any other."""

    def __init__(self, *, connections: OpenConnections) -> None:
        self._connections = connections
        self.other = _End()
        self.other.other = self
        self._socket: socket.socket | None = None
        self._over = asyncio.Event()

    async def run(self, client: asyncio.Transport, inner: socket.socket, first: bytes) -> None:
        """Relay until both sides have ended; `client` is paused, and `first` was read from it before."""
        self._socket = client.get_extra_info("socket")
        self._connections.add(self)
        client.set_protocol(self)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: self.other, inner)
        except OSError:
            client.abort()
        if client.is_closing() or self.other.transport is None:
            client.abort()
            self.connection_lost(None)
        else:
            self.transport = client
            self.other.transport.write(first)
            client.resume_reading()
        await self._over.wait()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave the others."""
        self._socket = None
        self._connections.discard(self)
        super().connection_lost(exc)
        self._over.set()

    @property
    def waits_since(self) -> None:
        """The parent knows what goes on here, and closes it when it shall make room."""
        return

    @property
    def wire(self) -> socket.socket | None:
        """See `pace.Paced`."""
        return self._socket

    def give_up(self) -> None:
        """Close it now."""
        if self._socket is not None:
            cut(self._socket)
        if self.transport is not None:
            self.transport.abort()


def _is_member(relay: Relay) -> Member:
    return relay
