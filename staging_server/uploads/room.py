"""Room on the disk: what is free, less what was promised to uploads.

Asking the disk takes a thread, so what it said counts for a moment; what was promised since is counted beside.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from staging_protocol.errors import NoSpace
from staging_server.blobs.base import BlobStore, Space

_MOMENT: Final = 0.5
"""Seconds for which an answer of the disk counts."""


class Room:
    """The room of one store; `high_water` is the share of it that may be used."""

    def __init__(self, blobs: BlobStore, *, high_water: float) -> None:
        self._blobs = blobs
        self._high_water = high_water
        self._space = Space(total=None, free=None)
        self._seen_at = float("-inf")
        self._coming = 0
        self._promised = 0

    async def check(self, size: int) -> None:
        """Return when there is room for `size` more bytes; raises NoSpace."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._seen_at > _MOMENT:
            promised = self._coming
            self._space = await self._blobs.space()
            self._seen_at, self._promised = loop.time(), max(promised, self._coming)
        total, free = self._space.total, self._space.free
        if total is None or free is None:
            return
        kept_free = total * (1 - self._high_water)
        # Uploads under way count in full, although part of them is on the disk already: too careful, not too late.
        if free - self._promised - size < kept_free:
            msg = f"the server's disk has {free} bytes left and keeps {int(kept_free)} of them free"
            raise NoSpace(msg)

    @contextmanager
    def promised(self, size: int) -> Iterator[None]:
        """Count `size` bytes as coming."""
        self._coming += size
        self._promised += size
        try:
            yield
        finally:
            self._coming -= size
