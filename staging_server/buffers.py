"""Memory for bodies on their way: a fixed number of equal buffers that all uploads share.

A buffer is used again and again, so its pages are cleared by the kernel once and not for every piece of a body.
"""

import asyncio
import mmap
from typing import Final

_KEPT: Final = 8
"""Buffers kept when nobody uses them: as many as two or three uploads want at once.  The others go back to the
system."""


class Buffers:
    """At most `count` buffers of `size` bytes."""

    def __init__(self, *, count: int, size: int) -> None:
        self._size = size
        self._places = asyncio.Semaphore(count)
        self._kept: list[memoryview] = []

    async def take(self) -> memoryview:
        """Return a buffer, which holds any bytes; wait for one in the order of asking when all are in use."""
        await self._places.acquire()
        # Mapped, because a heap that grew by such pieces does not shrink again.
        return self._kept.pop() if self._kept else memoryview(mmap.mmap(-1, self._size))

    def give_back(self, buffer: memoryview) -> None:
        """Let others have `buffer`."""
        if len(self._kept) < _KEPT:
            self._kept.append(buffer)
        self._places.release()
