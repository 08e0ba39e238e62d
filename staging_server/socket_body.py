"""The body of a request past aiohttp's parser: from the socket straight into the buffer of whoever reads it.

While a body is read, this is the protocol of the connection's transport; afterwards the connection is again.  Nothing
behind the body is taken from the socket, and nothing while nobody asks: so the next request is the connection's, and a
client that is faster than the disk waits.  See docs/decisions/0008.
"""

import asyncio
import contextlib
import socket
from typing import Final

from aiohttp import web

from staging_protocol.errors import RequestTimeout
from staging_server.connection import Connection

_GONE: Final = "the client is gone"
_NOTHING: Final = memoryview(b"")

_PIECE: Final = 256 * 1024
"""Bytes that make it worth waking the event loop, which fast links else do for every 64 KiB."""

_PAUSE: Final = 0.5
"""Seconds of silence after which the rest of a buffer is taken as it comes, byte by byte if need be."""


class SocketBody(asyncio.BufferedProtocol):
    """The body of `request`, whose Content-Length is `size`.  It is taken here and must be given back by `leave`."""

    def __init__(self, request: web.Request, *, size: int, stall: float) -> None:
        connection, transport = request.protocol, request.transport
        if not isinstance(connection, Connection) or transport is None:
            raise ConnectionResetError(_GONE)
        self._connection = connection
        self._transport = transport
        self._content = request.content
        self._stall = stall
        self._pause = min(_PAUSE, stall / 2)
        self._loop = asyncio.get_running_loop()
        self._room = _NOTHING
        self._heard = 0.0
        self._full: asyncio.Future[None] | None = None  # or the client is gone
        # No byte can come between these lines.
        self._parsed = memoryview(b"".join(iter(self._content.read_nowait, b"")))
        self._missing = 0 if self._content.is_eof() else size - len(self._parsed)
        transport.pause_reading()
        transport.set_protocol(self)
        # With TLS, bytes that were taken from the socket may be missing here still.
        self._plain = transport.get_extra_info("sslcontext") is None
        self._in_pieces = False

    async def fill(self, buffer: memoryview) -> int:
        """Do as `transfer.Body` says.

        Raises:
            RequestTimeout: no byte came for `stall` seconds.
            ConnectionResetError: the client is gone.
        """
        known = min(len(self._parsed), len(buffer))
        buffer[:known], self._parsed = self._parsed[:known], self._parsed[known:] or _NOTHING
        room = buffer[known : known + self._missing]
        if room:
            await self._receive(room)
        return known + len(room)

    def leave(self) -> None:
        """Give the connection back: to its next request, or to the old parser, which drops the rest of the body."""
        if self._transport.is_closing():
            return
        self._transport.set_protocol(self._connection)
        if self._in_pieces:
            self._wake(after=1)
        if self._missing == 0 and not self._content.is_eof():
            self._connection.expect_request()
            self._content.feed_eof()
        self._transport.resume_reading()

    async def _receive(self, room: memoryview) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError(_GONE)
        self._room, self._full, self._heard = room, self._loop.create_future(), self._loop.time()
        if self._plain and not self._in_pieces and self._missing > _PIECE:
            self._wake(after=_PIECE)
        self._transport.resume_reading()
        try:
            await self._watched(self._full)
        finally:
            self._transport.pause_reading()
            self._room, self._full = _NOTHING, None

    async def _watched(self, full: asyncio.Future[None]) -> None:
        while not full.done():
            patience = self._heard + self._stall - self._loop.time()
            if patience <= 0:
                msg = f"no byte of the body arrived for {self._stall:g} s"
                raise RequestTimeout(msg)
            await asyncio.wait([full], timeout=min(patience, self._pause) if self._in_pieces else patience)
            if self._in_pieces and self._heard + self._pause <= self._loop.time():
                self._wake(after=1)
        if self._room:
            raise ConnectionResetError(_GONE)

    def _wake(self, *, after: int) -> None:
        """Let the kernel tell of bytes once there are as many."""
        connection = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # reset meanwhile
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, after)
        self._in_pieces = after > 1

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return where the next bytes go; asked only between `_receive`'s resuming and pausing."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Take note of `nbytes` more."""
        self._room = self._room[nbytes:]
        self._missing -= nbytes
        self._heard = self._loop.time()
        if self._in_pieces and self._missing < _PIECE:
            self._wake(after=1)
        if not self._room and self._full is not None:
            self._transport.pause_reading()
            self._full.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell who waits for bytes, and the connection."""
        if self._full is not None and not self._full.done():
            self._full.set_result(None)
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on, since the answer is the connection's."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Pass on, since the answer is the connection's."""
        self._connection.resume_writing()
