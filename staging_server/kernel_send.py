"""`sendfile` on asyncio's loop, for a thousand readers at once.

asyncio's own `loop.sendfile` takes its callback out of the selector and puts it back for each piece that the socket
buffer has room for, which costs as much as sending it.  Here the callback stays for a whole stretch.  The selector
knows the socket by its transport, so the callback is registered for a duplicate of the descriptor.
"""

import asyncio
import os
from typing import Final

CHUNK: Final = 4 * 1024 * 1024
"""Bytes asked for at once: more than a socket buffer holds, and not so much that one fast reader keeps the others
waiting."""


class KernelSender:
    """One connection that a file is sent to.  Nothing else may be written to it until `close`."""

    def __init__(self, connection: int) -> None:
        """Take the file descriptor of a socket that does not block; it stays the caller's."""
        self._loop = asyncio.get_running_loop()
        self._connection = os.dup(connection)

    def close(self) -> None:
        """Let go of the duplicate."""
        os.close(self._connection)

    async def send(self, file: int, start: int, stop: int) -> int:
        """Send the bytes `start` to `stop` of `file`, and return how many; fewer only where the file ends.

        Raises:
            OSError: the peer is gone (ConnectionError, TimeoutError), or the file system knows no sendfile (EINVAL).
        """
        done: asyncio.Future[int] = self._loop.create_future()
        position = start

        def step() -> None:
            nonlocal position
            if done.done():  # cancelled, or called once more before the writer was removed
                return
            try:
                count = os.sendfile(self._connection, file, position, min(CHUNK, stop - position))
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                done.set_exception(error)
                return
            position += count
            if count == 0 or position == stop:
                done.set_result(position - start)

        step()
        if done.done():
            return done.result()
        self._loop.add_writer(self._connection, step)
        try:
            return await done
        finally:
            self._loop.remove_writer(self._connection)
