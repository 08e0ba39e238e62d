"""A pair of sockets between parent and child that keeps the bounds of messages and carries descriptors.

Sending never waits: what the kernel has no room for waits in memory.  What is sent is bounded elsewhere, by the number
of connections and of writes that a child waits for.
"""

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from staging_protocol.errors import Unavailable

_LARGEST: Final = 256 * 1024
"""Bytes of a message: a request's head and what came with it."""

_BUFFER: Final = 4 * _LARGEST


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends; the second is for a child to inherit."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        end.setblocking(False)
    return ours, theirs


def first_message(end: socket.socket) -> bytes:
    """Wait for the first message, before there is an event loop; raises Unavailable when the other end is closed."""
    end.setblocking(True)
    message = end.recv(_LARGEST)
    end.setblocking(False)
    if not message:
        raise Unavailable("the parent is gone")
    return message


class Channel:
    """One end.  `received` gets each message, with a descriptor that is its own from then on, or None."""

    def __init__(
        self, end: socket.socket, *, received: Callable[[bytes, int | None], None], ended: Callable[[], None]
    ) -> None:
        """Begin to read; the socket belongs to the channel from here on."""
        self._loop = asyncio.get_running_loop()
        self._end = end
        self._received = received
        self._ended = ended
        self._waiting: deque[tuple[bytes, int | None]] = deque()
        self._closed = False
        self._loop.add_reader(end, self._read)

    def send(self, message: bytes, *, descriptor: int | None = None) -> None:
        """Send a message; the descriptor is the channel's to close, whatever happens."""
        if self._closed:
            _let_go(descriptor)
            return
        self._waiting.append((message, descriptor))
        if len(self._waiting) == 1:
            self._write()

    def close(self) -> None:
        """Close it; what waits is not sent any more."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()
        while self._waiting:
            _let_go(self._waiting.popleft()[1])

    def _write(self) -> None:
        while self._waiting:
            message, descriptor = self._waiting[0]
            try:
                socket.send_fds(self._end, [message], [] if descriptor is None else [descriptor])
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._end, self._write)
                return
            except OSError:
                self._finish()
                return
            self._waiting.popleft()
            _let_go(descriptor)
        self._loop.remove_writer(self._end)

    def _read(self) -> None:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._end, _LARGEST, 1)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            message, descriptors = b"", []
        if message:
            self._received(message, descriptors[0] if descriptors else None)
        else:
            self._finish()

    def _finish(self) -> None:
        if not self._closed:
            self.close()
            self._ended()


def _let_go(descriptor: int | None) -> None:
    if descriptor is not None:
        with contextlib.suppress(OSError):
            os.close(descriptor)
