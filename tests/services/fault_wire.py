"""HTTP/1.1 messages as they pass a proxy: heads, and bodies in pieces whatever their framing."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

_PIECE = 64 * 1024
_LINGER = 1.0
"""Seconds."""
_BODILESS = frozenset({"204", "304"})


@dataclass(kw_only=True)
class Head:
    """Start line and fields of a message; `data` are its bytes."""

    data: bytes
    start: tuple[str, str, str] = field(init=False)
    size: int | None = field(init=False)
    chunked: bool = field(init=False)
    closes: bool = field(init=False)

    def __post_init__(self) -> None:
        lines = self.data.decode("latin-1").split("\r\n")
        first, second, *rest = (*lines[0].split(" ", 2), "", "")
        self.start = (first, second, rest[0])
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.chunked = fields.get("transfer-encoding", "").lower() == "chunked"
        self.size = int(fields["content-length"]) if "content-length" in fields else None
        self.closes = fields.get("connection", "").lower() == "close"

    @property
    def has_request_body(self) -> bool:
        """Whether a request with this head has a body."""
        return self.chunked or bool(self.size)

    def answer_size(self, method: str) -> int | None:
        """Return the size of the body of an answer to `method`; None when it ends with the connection."""
        return 0 if method == "HEAD" or self.start[1] in _BODILESS else self.size


class End:
    """One end of a proxied connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(high=0)  # what was sent is with the kernel: a reset takes none of it

    @classmethod
    async def connect(cls, host: str, port: int) -> "End":
        return cls(*await asyncio.open_connection(host, port))

    async def head(self) -> Head | None:
        """Return the next head; None when the connection ended before it."""
        try:
            return Head(data=await self._reader.readuntil(b"\r\n\r\n"))
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise ConnectionResetError from error
            return None

    async def body(self, *, size: int | None, chunked: bool) -> AsyncIterator[tuple[bytes, bool]]:
        """Yield the pieces of a body, and whether they are bytes of it (or only its framing)."""
        if chunked:
            async for part in self._chunks():
                yield part
        elif size is None:
            while piece := await self._reader.read(_PIECE):
                yield piece, True
        else:
            async for piece in self._exactly(size):
                yield piece, True

    async def send(self, data: bytes) -> None:
        """Send bytes, and wait while the peer does not take them."""
        self._writer.write(data)
        await self._writer.drain()

    def end_sending(self) -> None:
        """Send FIN, and go on receiving."""
        with suppress(OSError):
            self._writer.write_eof()

    def reset(self) -> None:
        """Close the connection with RST."""
        connected: socket.socket = self._writer.get_extra_info("socket")
        with suppress(OSError):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def linger(self) -> None:
        """Send FIN and read what still comes: closed over unread bytes, a socket resets, and the peer misses all."""
        self.end_sending()
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(_LINGER):
                while await self._reader.read(_PIECE):
                    pass

    def close(self) -> None:
        """Send what is left, then FIN."""
        self._writer.close()

    async def _exactly(self, size: int) -> AsyncIterator[bytes]:
        while size:
            piece = await self._reader.read(min(size, _PIECE))
            if not piece:
                raise ConnectionResetError
            size -= len(piece)
            yield piece

    async def _chunks(self) -> AsyncIterator[tuple[bytes, bool]]:
        while True:
            line = await self._reader.readuntil(b"\r\n")
            yield line, False
            size = int(re.sub(rb";.*", b"", line.strip()), 16)
            if size == 0:
                break
            async for piece in self._exactly(size):
                yield piece, True
            yield await self._reader.readexactly(2), False
        while line.strip():
            line = await self._reader.readuntil(b"\r\n")
            yield line, False
