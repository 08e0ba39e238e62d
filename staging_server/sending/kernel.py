"""`sendfile` on asyncio's loop, for a thousand readers at once.

asyncio's own `loop.sendfile` takes its callback out of the selector and puts it back for each piece that the socket
buffer has room for, which costs as much as sending it.  Here the callback stays, as long as there is no queue of others
(`send_turns`).  The selector knows the socket by its transport, so the callback is registered for a duplicate of the
descriptor.
"""

import asyncio
import os
from collections.abc import Hashable
from typing import Final

from staging_server.sending.turns import turns_of_loop

CHUNK: Final = 4 * 1024 * 1024
"""Bytes asked for at once: more than a socket buffer holds, and not so much that one fast reader keeps the others
waiting."""


class KernelSender:
    """One connection that a file is sent to.  Nothing else may be written to it until `close`."""

    def __init__(self, connection: int, *, owner: Hashable) -> None:
        """Take the file descriptor of a socket that does not block; it stays the caller's.

        When there is more to send than can be sent, all connections of an `owner` share its turns.
        """
        self.loop = asyncio.get_running_loop()
        self.turns = turns_of_loop()
        self.owner = owner
        self.connection = os.dup(connection)

    def close(self) -> None:
        """Let go of the duplicate."""
        os.close(self.connection)

    async def send(self, file: int, start: int, stop: int) -> int:
        """Send the bytes `start` to `stop` of `file`, and return how many; fewer only where the file ends.

        Raises:
            OSError: the peer is gone (ConnectionError, TimeoutError), or the file system knows no sendfile (EINVAL).
        """
        stretch = _Stretch(self, file, start, stop)
        if stretch.begin():
            return stretch.done.result()
        try:
            return await stretch.done
        finally:
            self.loop.remove_writer(self.connection)


class _Stretch:
    """A part of a file on its way to a socket; `done` tells how many bytes went."""

    def __init__(self, sender: KernelSender, file: int, start: int, stop: int) -> None:
        self._sender = sender
        self._file = file
        self._start = start
        self._stop = stop
        self._position = start
        self._watched = False
        self.done: asyncio.Future[int] = sender.loop.create_future()

    def begin(self) -> bool:
        """Send the first piece, now or in turn; tell whether that was all."""
        if self._sender.turns.may_go_now(self._sender):
            self._turn()
        else:
            self._sender.turns.ask(self._sender.owner, self._turn)
        return self.done.done()

    def _turn(self) -> None:
        self.step()
        if not self.done.done() and not self._watched:
            self._watched = True
            self._sender.loop.add_writer(self._sender.connection, self._ready)

    def _ready(self) -> None:
        """Go on, now that the socket has room: at once, or in turn."""
        if self._sender.turns.may_go_now(self._sender):
            self.step()
            return
        self._sender.loop.remove_writer(self._sender.connection)
        self._watched = False
        self._sender.turns.ask(self._sender.owner, self._turn)

    def step(self) -> None:
        """Send a piece, if the socket has room; harmless when it is done or was cancelled."""
        if self.done.done():
            return
        size = min(CHUNK, self._stop - self._position)
        try:
            count = os.sendfile(self._sender.connection, self._file, self._position, size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.done.set_exception(error)
            return
        self._position += count
        if count == 0 or self._position == self._stop:
            self.done.set_result(self._position - self._start)
