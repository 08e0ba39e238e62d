"""Sends a file over TLS, where the kernel cannot encrypt for us: read, encrypted and sent in pieces that stay in cache.

What a large answer costs here is moving memory: from the page cache, through OpenSSL, into its buffer, out of it, into
the socket.  In pieces that fit into the processor's cache, with one buffer for all of them, that costs less than
pieces of a MiB, each read by a thread into memory of its own (benchmark `get-tls`).  A thread reads only what is not in
the page cache.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from aiohttp.abc import AbstractStreamWriter

from staging_server.blobs.base import OpenBlob

PIECE: Final = 256 * 1024
"""Bytes read and encrypted at once: sixteen records of TLS, and what the second level of a processor's cache holds."""

_COLD: Final = 1024 * 1024
"""Bytes that a thread reads at once when they are not in memory."""

_TURN: Final = 1024 * 1024
"""Bytes after which other connections have their turn, when the client is as fast as we are."""


async def send_encrypted(
    writer: AbstractStreamWriter,
    transport: asyncio.Transport,
    blob: OpenBlob,
    start: int,
    stop: int,
    *,
    sent: Callable[[int], None],
) -> None:
    """Send the bytes `start` to `stop`, or fewer where the file ends; `sent` is told of each piece.

    Raises:
        ConnectionError: the client is gone.
    """
    buffer = memoryview(bytearray(PIECE))
    position, turn = start, start + _TURN
    while position < stop:
        piece: memoryview | bytes | None = _read_now(blob, position, buffer[: stop - position])
        if piece is None:
            piece = await blob.read(position, size=min(_COLD, stop - position))
        if not piece:
            return
        await writer.write(piece)
        sent(len(piece))
        position += len(piece)
        if transport.get_write_buffer_size():
            # Some of it may not be encrypted yet: the buffer is not ours any more.
            buffer = memoryview(bytearray(PIECE))
        if position >= turn:
            turn = position + _TURN
            await asyncio.sleep(0)


def _read_now(blob: OpenBlob, position: int, buffer: memoryview) -> memoryview | None:
    """Return what is in memory at `position`; None when nothing is, or nobody can tell."""
    if blob.file is None:
        return None
    try:
        count = os.preadv(blob.file.fileno(), [buffer], position, os.RWF_NOWAIT)
    except OSError:  # not in memory, or a file system that cannot be asked
        return None
    return buffer[:count] if count else None
