"""Keeps the event loop from waiting for a disk in `sendfile`.

`sendfile` reads what is not in the page cache from the disk, in the thread that calls it: for a cold file on a slow
disk that would be the event loop, most of the time.  So before a stretch of a file is sent, a few probes ask the kernel
whether it is in memory (`RWF_NOWAIT`, about 1 µs each); if not, a thread reads it once, which brings it there.
"""

import asyncio
import os
from concurrent.futures import Executor
from typing import BinaryIO, Final

_STRIDE: Final = 1024 * 1024
"""Bytes between two probes; the kernel reads ahead less than this, so a cold stretch is not missed."""


async def warm(file: BinaryIO, start: int, stop: int, *, executor: Executor | None = None) -> None:
    """Return when the bytes `start` to `stop` of `file` are, as far as can be known, in memory."""
    descriptor = file.fileno()
    if not _is_warm(descriptor, start, stop):
        await asyncio.get_running_loop().run_in_executor(executor, _read_through, descriptor, start, stop)


def read_if_warm(file: BinaryIO, start: int, *, size: int) -> bytearray | None:
    """Return `size` bytes from `start` when all of them are in memory, else None; never waits for a disk."""
    buffer = bytearray(size)
    try:
        count = os.preadv(file.fileno(), [buffer], start, os.RWF_NOWAIT)
    except OSError:  # not in memory, or a file system that cannot be asked
        return None
    return buffer if count == size else None


def _is_warm(descriptor: int, start: int, stop: int) -> bool:
    probe = [bytearray(1)]
    try:
        for offset in (*range(start, stop, _STRIDE), stop - 1):
            os.preadv(descriptor, probe, offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without RWF_NOWAIT: it cannot be asked, and most of these are in memory anyway (tmpfs).
        return True
    return True


def _read_through(descriptor: int, start: int, stop: int) -> None:
    buffer = bytearray(min(_STRIDE, stop - start))
    offset = start
    while offset < stop and (count := os.preadv(descriptor, [buffer], offset)):
        offset += count
