"""One body on its way into the store: a buffer is filled from the network while others are hashed and written.

An upload has at most three buffers: one that is filled and two with the writer, whose threads so find the next when
they are done with one.  They come from the memory that all uploads share, which is what bounds them.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

from staging_protocol.errors import DigestMismatch
from staging_server.blobs.base import BlobWriter
from staging_server.buffers import Buffers

AHEAD: Final = 2
"""Buffers of one upload that may be with the writer while the next is filled."""


class Body(Protocol):
    """The bytes that a client sends."""

    async def fill(self, buffer: memoryview) -> int:
        """Put the next bytes into `buffer` and return their number: fewer than fit only at the end, 0 after it.

        `buffer` is left alone once this has returned or raised.

        Raises:
            StagingError, ConnectionError: no more bytes will come.
        """
        ...


async def transfer(body: Body, writer: BlobWriter, *, buffers: Buffers, size: int) -> None:
    """Write everything that `body` brings, and return when it is written.

    Raises:
        DigestMismatch: more than `size` bytes came.
        StagingError, ConnectionError: what `body` and `writer` raise.
    """
    writes: deque[asyncio.Task[None]] = deque()
    received = 0
    try:
        while count := await _pass_on(body, writer, buffers, writes):
            received += count
            if received > size:
                msg = f"more bytes came than the {size} that were promised"
                raise DigestMismatch(msg)
            if len(writes) == AHEAD:
                await writes.popleft()
        while writes:
            await writes.popleft()
    finally:
        # Nobody may give up the writer while it is at work; the first error is told already.
        await asyncio.gather(*writes, return_exceptions=True)


async def _pass_on(body: Body, writer: BlobWriter, buffers: Buffers, writes: deque[asyncio.Task[None]]) -> int:
    """Begin to write the next buffer of bytes; return how many these are."""
    buffer = await buffers.take()
    count = 0
    try:
        count = await body.fill(buffer)
    finally:
        if count == 0:
            buffers.give_back(buffer)
    if count:
        writes.append(asyncio.create_task(_write(writer, buffer, count, buffers=buffers)))
    return count


async def _write(writer: BlobWriter, buffer: memoryview, count: int, *, buffers: Buffers) -> None:
    # Cancelled, it gives back a buffer that a thread may still be reading: for an upload that has failed, so no matter.
    try:
        await writer.write(buffer[:count])
    finally:
        buffers.give_back(buffer)
