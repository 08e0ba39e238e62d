"""Lets the disk begin to write what a file got so far, without waiting for it.

The kernel begins by itself after half a minute, or when a tenth of the memory waits to be written; then the fsync at
the end of an upload would have all of it to do.  `sync_file_range` (Linux) only begins: durable is what fsync says.
"""

import ctypes
from collections.abc import Callable
from typing import Final

_WRITE: Final = 2
"""SYNC_FILE_RANGE_WRITE (linux/fs.h)."""


def begin_write_back(fd: int, offset: int, *, size: int) -> None:
    """Begin to write `size` bytes from `offset` to the disk; advice, so that what goes wrong is left to fsync."""
    if _sync_file_range is not None:
        _sync_file_range(fd, offset, size, _WRITE)


def _find() -> Callable[[int, int, int, int], int] | None:
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function


_sync_file_range: Final = _find()
