"""Cuts off clients that take an answer a byte now and then, whatever sends it.

The kernel's own TCP_USER_TIMEOUT ends a connection whose peer takes nothing; a single byte in time resets it.  So once
in a while each connection is asked how much of what was sent its peer has acknowledged (TCP_INFO), and how much is
still under way (SIOCOUTQ).  Both count what the peer has really got, with TLS or without, by sendfile or not.

A connection is slow when, a whole window after a look, its peer has not even got what was under way at that look, and
less than `slowest` bytes a second on average.  Who has got everything is not being waited for.
"""

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

_ACKNOWLEDGED: Final = struct.Struct("@Q")
_ACKNOWLEDGED_AT: Final = 120
"""Where `tcpi_bytes_acked` lies in `struct tcp_info` (linux/tcp.h; since Linux 4.1)."""

_LOOKS: Final = 4
"""Looks in a window: how late a slow one is found, in fractions of it."""

_AT_ONCE: Final = 200
"""Connections looked at before the event loop gets its turn: about 1 ms."""


class Paced(Protocol):
    """A connection that answers are sent on."""

    @property
    def wire(self) -> socket.socket | None:
        """Its TCP socket, until it is closed."""
        ...

    def give_up(self) -> None:
        """Close it now."""
        ...


@dataclass(slots=True)
class _Mark:
    at: float
    acknowledged: int
    sent: int


class Pace:
    """Remembers what the last looks found."""

    def __init__(self, *, window: float, slowest: int, cut_off: Callable[[], None]) -> None:
        """`window` is in seconds, `slowest` in bytes a second; `cut_off` is told of each connection that is."""
        self._window = window
        self._slowest = slowest
        self._cut_off = cut_off
        self._marks: dict[Paced, _Mark] = {}

    async def watch(self, connections: Callable[[], Iterable[Paced]]) -> None:
        """Look at all connections again and again; until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._window / _LOOKS)
            marks, self._marks = self._marks, {}
            for number, connection in enumerate(connections(), start=1):
                mark = self._next_mark(connection, marks.get(connection), now=loop.time())
                if mark is not None:
                    self._marks[connection] = mark
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)

    def _next_mark(self, connection: Paced, mark: _Mark | None, *, now: float) -> _Mark | None:
        found = _progress(connection.wire)
        if found is None:
            return None
        acknowledged, waiting = found
        fresh = _Mark(now, acknowledged, acknowledged + waiting)
        if mark is None or acknowledged >= mark.sent:
            return fresh
        passed = now - mark.at
        if passed < self._window:
            return mark
        if acknowledged - mark.acknowledged >= self._slowest * passed:
            return fresh
        self._cut_off()
        connection.give_up()
        return None


def cut(connected: socket.socket) -> None:
    """End a TCP connection at once, for everybody who holds its descriptor: what was not taken is thrown away."""
    with contextlib.suppress(OSError):  # it has ended by itself
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connected.shutdown(socket.SHUT_RDWR)


def _progress(connected: socket.socket | None) -> tuple[int, int] | None:
    """Return how many bytes the peer has acknowledged, and how many are under way to it."""
    if connected is None or connected.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    try:
        info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKNOWLEDGED_AT + _ACKNOWLEDGED.size)
        (waiting,) = struct.unpack("@i", fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0" * 4))
    except OSError:
        return None
    if len(info) < _ACKNOWLEDGED_AT + _ACKNOWLEDGED.size:  # an old kernel
        return None
    return _ACKNOWLEDGED.unpack_from(info, _ACKNOWLEDGED_AT)[0], waiting
