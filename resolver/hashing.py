"""Checksums of a file while it arrives.

Digests want bytes in order, ranged parts come in any.  So there are three ways:

- a small file is hashed by the thread that receives it, while its bytes are in the processor's cache;
- CRCs of the parts of a larger one are computed like that too, and put together at the end (`combining`);
- any other checksum of a larger one has a follower: a thread that reads behind the receivers, from the page cache,
  whatever is whole from the start on.  So hashing (the slowest step: about 1 GiB/s) overlaps receiving, and no byte
  waits in our memory for its turn.
"""

import threading
from collections.abc import Callable
from typing import Final, Protocol

from resolver.checksums import Check, InOrder, Sums
from resolver.parts import Part
from staging_io.files import UnfinishedFile
from staging_protocol.errors import StagingError, Terminated

_READ_SIZE: Final = 512 * 1024
"""Bytes; it stays in the processor's cache between reading and hashing."""

_WAKE_SIZE: Final = 1024 * 1024
"""Bytes that must have arrived before the follower is woken: each waking takes the interpreter from a receiver."""


class Hashing(Protocol):
    """Is told of each piece that was written to the file, and knows the checksums at the end."""

    def wrote(self, data: memoryview, *, part: Part) -> None:
        """Note that `data` was written, as the last bytes before `part.at`; called by the thread that has the part."""

    def result(self) -> Sums:
        """Return what came out for the whole file; may wait for the rest to be hashed."""

    def abandon(self) -> None:
        """Stop: the result is not wanted any more."""


class InlineHashing:
    """For a file that comes in one piece, in order, by one thread at a time."""

    def __init__(self, check: Check) -> None:
        self._sums = InOrder(check)

    def wrote(self, data: memoryview, *, part: Part) -> None:
        """Hash it now, while it is in the cache."""
        del part
        self._sums.update(data)

    def result(self) -> Sums:
        """Return the checksums of what was written."""
        return self._sums.result()

    def abandon(self) -> None:
        """Nothing runs."""


class FollowingHashing:
    """For a file in parts: hashes up to `frontier()`, the position before which every byte was written."""

    def __init__(
        self, check: Check, *, file: UnfinishedFile, frontier: Callable[[], int], size: Callable[[], int | None]
    ) -> None:
        """`size` gives the size of the file once it is known for sure."""
        self._file = file
        self._frontier = frontier
        self._size = size
        self._sums = InOrder(check)
        self._changed = threading.Condition()
        self._unseen = 0
        self._abandoned = False
        self._error: StagingError | None = None
        self._thread = threading.Thread(target=self._follow, name="hashing", daemon=True)
        self._thread.start()

    def wrote(self, data: memoryview, *, part: Part) -> None:
        """Wake the follower when there is enough for it; it reads back from the file, in order."""
        del part
        with self._changed:
            self._unseen += len(data)
            if self._unseen >= _WAKE_SIZE:
                self._unseen = 0
                self._changed.notify()

    def result(self) -> Sums:
        """Wait for the follower to reach the end."""
        with self._changed:
            self._changed.notify()
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self._abandoned:
            msg = "the run was ended"
            raise Terminated(msg)
        return self._sums.result()

    def abandon(self) -> None:
        """Let the follower end."""
        with self._changed:
            self._abandoned = True
            self._changed.notify()

    def _follow(self) -> None:
        buffer = memoryview(bytearray(_READ_SIZE))
        done = 0
        try:
            while (stop := self._next(done)) is not None:
                while done < stop and not self._abandoned:
                    done += self._hash_some(buffer[: min(len(buffer), stop - done)], done)
        except StagingError as error:
            self._error = error

    def _hash_some(self, buffer: memoryview, offset: int) -> int:
        count = self._file.read(buffer, offset)
        self._sums.update(buffer[:count])
        return count

    def _next(self, done: int) -> int | None:
        """Wait for more than `done` bytes; None at the end."""
        with self._changed:
            while not self._abandoned:
                if done == self._size():
                    return None
                if (stop := self._frontier()) > done:
                    return stop
                self._changed.wait()
        return None


_INLINE: type[Hashing] = InlineHashing
_FOLLOWING: type[Hashing] = FollowingHashing
