"""Bytes from the network to a blob's writer.

While one batch of bytes is hashed and written on a thread, the next one is collected from the network.  There are never
more than these two, so an upload's memory does not depend on the size of the file.
"""

import asyncio
from collections.abc import AsyncIterator

from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch
from staging_server.blobs.base import BlobWriter


async def receive(writer: BlobWriter, chunks: AsyncIterator[bytes], *, size: int, batch: int) -> None:
    """Write all of `chunks`, in batches of about `batch` bytes.

    Raises:
        DigestMismatch: more than `size` bytes came.
        StagingError: what `chunks` and the writer raise.
    """
    try:
        # A write that fails ends the wait for the next chunk, which may never come.
        async with asyncio.TaskGroup() as beside:
            rest = await _write_batches(writer, chunks, size=size, batch=batch, beside=beside)
    except ExceptionGroup as failed:
        first = failed.exceptions[0]
        raise first from first.__cause__
    await writer.write(rest)


async def verify(writer: BlobWriter, *, digest: Digest, size: int) -> None:
    """Raise DigestMismatch unless the bytes written are the promised ones."""
    if writer.size != size:
        msg = f"{writer.size} bytes came, {size} were promised"
        raise DigestMismatch(msg)
    actual = await writer.digest()
    if actual != digest:
        msg = f"the bytes have {actual}, {digest} was promised"
        raise DigestMismatch(msg)


async def _write_batches(
    writer: BlobWriter, chunks: AsyncIterator[bytes], *, size: int, batch: int, beside: asyncio.TaskGroup
) -> list[bytes]:
    """Write all but the last batch, which is returned."""
    waiting: list[bytes] = []
    collected = received = 0
    writing: asyncio.Task[None] | None = None
    async for chunk in chunks:
        received += len(chunk)
        if received > size:
            msg = f"more bytes came than the {size} that were promised"
            raise DigestMismatch(msg)
        waiting.append(chunk)
        collected += len(chunk)
        if collected >= batch:
            if writing is not None:
                await writing
            writing = beside.create_task(writer.write(waiting))
            waiting, collected = [], 0
    return waiting
