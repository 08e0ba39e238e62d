"""HTTP/1.1 over one socket for a thousand clients in a process: requests out, answers in, bodies thrown away.

The kernel discards bodies (recv with MSG_TRUNC, tcp(7)) and sends files (sendfile), so that the crowd leaves the
machine to the server.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

_HEAD: Final = 64 * 1024
_AT_ONCE: Final = 1024 * 1024
_WASTE: Final = bytearray(_AT_ONCE)
"""Says how much may be discarded; nothing is written to it."""

_STALLED: Final = 120.0
"""Seconds without a byte after which a client gives up: the server's own limits are shorter."""

_RECEIVE_BUFFER: Final = 256 * 1024
"""Of a reader: a thousand with the kernel's default would take gigabytes of its memory."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and header fields of an answer, names in small letters."""

    status: int
    fields: Mapping[str, str]

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return int(self.fields.get("content-length", "0"))

    @property
    def keeps(self) -> bool:
        """Whether the connection can be used again."""
        return self.fields.get("connection", "").lower() != "close"


def request_bytes(method: str, path: str, *, fields: Mapping[str, str], size: int = 0) -> bytes:
    """Return the head of a request whose body has `size` bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {size}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in fields.items()), "", ""]).encode()


class Wire:
    """One connection; every method raises OSError when it breaks, TimeoutError when nothing moves."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._left = b""

    @classmethod
    async def open(cls, address: tuple[str, int]) -> Self:
        """Connect."""
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = cls(connection)
        try:
            async with asyncio.timeout(_STALLED):
                await wire._loop.sock_connect(connection, address)
        except BaseException:
            connection.close()
            raise
        return wire

    def is_dropped(self) -> bool:
        """Whether the server has closed it, as it may do with an idle one."""
        try:
            return not self._left and not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    async def send(self, data: bytes) -> None:
        """Send all of `data`."""
        async with asyncio.timeout(_STALLED):
            await self._loop.sock_sendall(self._socket, data)

    async def send_file(self, descriptor: int, *, start: int, stop: int) -> None:
        """Send a stretch of an open file."""
        while start < stop:
            try:
                start += os.sendfile(self._socket.fileno(), descriptor, start, stop - start)
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)

    async def head(self) -> Head:
        """Return the head of the next answer, which may be `100 Continue`."""
        data = self._left
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = await self._receive()
            if not more:
                raise ConnectionResetError("closed before an answer")
            data += more
        self._left = data[end + 4 :]
        first, *lines = data[:end].decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Head(int(first.split(" ", 2)[1]), fields)

    async def body(self, size: int) -> bytes:
        """Return a body of `size` bytes."""
        data, self._left = self._left[:size], self._left[size:]
        while len(data) < size:
            more = await self._receive()
            if not more:
                raise ConnectionResetError("closed within a body")
            data, self._left = data + more[: size - len(data)], more[size - len(data) :]
        return data

    async def discard(self, size: int, *, at_once: int = _AT_ONCE) -> int:
        """Throw away up to `size` bytes of a body, at most `at_once`, and return how many."""
        if self._left:
            count = min(len(self._left), size)
            self._left = self._left[count:]
            return count
        while True:
            try:
                count = self._socket.recv_into(_WASTE, min(size, at_once, _AT_ONCE), socket.MSG_TRUNC)
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)
                continue
            if count == 0:
                raise ConnectionResetError("closed within a body")
            return count

    async def _receive(self) -> bytes:
        async with asyncio.timeout(_STALLED):
            return await self._loop.sock_recv(self._socket, _HEAD)

    async def _ready(self, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
        number, ready = self._socket.fileno(), self._loop.create_future()
        add(number, _resolve, ready)
        try:
            async with asyncio.timeout(_STALLED):
                await ready
        finally:
            remove(number)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
