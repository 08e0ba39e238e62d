"""Receives a body on a thread: from the socket into a buffer, to the hash and to the file, past event loop and parser.

    the thread          receive ─ write ─ receive ─ write ─ …
    a second one                  └ hash ┘          └ hash ┘   while a processor is idle; else the first hashes, too

The descriptor is the connection's own, so it does not block: whoever waits here waits in `poll`, which a stop ends at
once.  Bytes are gathered while they keep coming, and stored when the buffer is full or nothing came for a moment.
"""

import mmap
import os
import select
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import cycle
from typing import Final

from staging_server.blobs.base import ByteWriter
from staging_server.uploads.patience import Patience

_MOMENT: Final = 0.1
"""Seconds without a byte after which what came is stored: a slow client's bytes are safe soon."""

_BUFFERS: Final = 2
"""One that is hashed while the other is written and filled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A connection whose next bytes a thread may take; nobody else reads or writes there meanwhile.

    Attributes:
        connection: descriptor of a socket that does not block.
        before: the body's first bytes, which were read already.
        count: how many bytes of the body are still to come.
        patience: how long they are waited for.
        took: is told on the event loop, now and then and at the end, how many of them were taken from the socket.
    """

    connection: int
    before: Sequence[bytes]
    count: int
    patience: Patience
    took: Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Helpers:
    """Threads that hash for others; `spare` tells whether there is a processor for that."""

    threads: Executor
    spare: Callable[[], bool]


class Stopped(Exception):
    """The event loop stopped the intake; nobody but the event loop sees this."""


class Intake:
    """One body on its way into `writer`: `run` is for a thread, all else for the event loop."""

    def __init__(self, line: Line, writer: ByteWriter, *, piece: int, helpers: Helpers) -> None:
        """`piece` is the size of a buffer in bytes; there are two."""
        self._line = line
        self._writer = writer
        self._piece = piece
        self._hashing = _Hashing(writer, helpers)
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._failed: Exception | None = None
        self.taken = 0

    def stop(self) -> None:
        """Let `run` come to an end; what was received is stored."""
        os.eventfd_write(self._stop, 1)

    def close(self) -> None:
        """Clean up after `run`."""
        os.close(self._stop)

    def run(self) -> None:
        """Store all bytes of the line; whatever happens, those that were taken are stored when the writer can.

        Raises:
            RequestTimeout: they did not come in time.
            ConnectionResetError: the client is gone.
            NoSpace, Unavailable: the writer failed.
            Stopped: `stop` was called.
        """
        try:
            for piece in self._line.before:
                self._store(memoryview(piece))
            self._take_all()
        finally:
            self._hashing.finish()

    def _take_all(self) -> None:
        left = self._line.count
        if not left:
            return
        size = min(self._piece, left)
        # Pages of their own, which the system has back at the end; in the allocator's heap they would leave holes.
        buffers = cycle([memoryview(mmap.mmap(-1, size)) for _ in range(_BUFFERS)])
        while left:
            buffer = next(buffers)
            count = self._fill(buffer[:left])
            self._store(buffer[:count])
            left -= count

    def _store(self, view: memoryview) -> None:
        self._hashing.add(view)
        self._writer.write_now(view)

    def _fill(self, view: memoryview) -> int:
        """Receive into `view` until it is full or nothing comes for a moment; return how many bytes came."""
        if self._failed is not None:
            raise self._failed
        count = 0
        while count < len(view):
            try:
                received = self._receive(view[count:], patient=count == 0)
            except Exception as error:
                if not count:
                    raise
                self._failed = error  # what came is stored first
                break
            if not received:
                break
            count += received
            self.taken += received
        return count

    def _receive(self, view: memoryview, *, patient: bool) -> int:
        """Return how many bytes came; 0 when none did for a moment, unless `patient`."""
        while True:
            try:
                received = os.readv(self._line.connection, [view])
            except BlockingIOError:
                if self._wait(patient=patient):
                    continue
                return 0
            except OSError as error:  # reset, or the kernel gave the peer up
                raise ConnectionResetError("the client is gone") from error
            if not received:
                raise ConnectionResetError("the client left in the middle of the body")
            return received

    def _wait(self, *, patient: bool) -> bool:
        """Tell whether there is something to read."""
        patience = self._line.patience
        left = patience.left(self.taken)
        seconds = left if patient else min(_MOMENT, left)
        poll = select.poll()
        poll.register(self._line.connection, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        started = time.monotonic()
        ready = [descriptor for descriptor, _ in poll.poll(seconds * 1000)]
        patience.waited(time.monotonic() - started)
        if self._stop in ready:
            raise Stopped
        if patient and not ready:
            raise patience.lost()
        return bool(ready)


class _Hashing:
    """Hashes piece after piece: on another thread where there is a processor for it, one piece at a time."""

    def __init__(self, writer: ByteWriter, helpers: Helpers) -> None:
        self._writer = writer
        self._helpers = helpers
        self._offset = writer.size
        self._running: Future[None] | None = None

    def add(self, view: memoryview) -> None:
        """Hash `view`, which must stay as it is until the call after the next one."""
        self.finish()
        offset, self._offset = self._offset, self._offset + len(view)
        if self._helpers.spare():
            self._running = self._helpers.threads.submit(self._writer.hash_now, view, offset=offset)
        else:
            self._writer.hash_now(view, offset=offset)

    def finish(self) -> None:
        """Return when nothing is being hashed any more."""
        running, self._running = self._running, None
        if running is not None:
            running.result()
