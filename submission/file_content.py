"""The bytes of a file as it was hashed: whoever sends them notices when it is another one by now."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Final

from staging_protocol.errors import DigestMismatch, Terminated
from submission.hashing import HashedFile
from submission.local_files import FileVersion

_SLICE: Final = 1024 * 1024
"""Bytes that are read, sent and told to the progress at once; the memory that one upload takes."""


def content(
    one: HashedFile, *, offset: int, size: int, reached: Callable[[int], None], stop: threading.Event
) -> Iterator[memoryview]:
    """Yield `size` bytes from `offset`; each slice is valid until the next one is asked for.

    `reached` is told the position up to which they were sent.

    Raises:
        DigestMismatch: the file is another one by now.
        Terminated: `stop` was set.
    """
    buffer = memoryview(bytearray(min(_SLICE, size)))
    try:
        descriptor = os.open(one.file.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if FileVersion.of(os.fstat(descriptor)) != one.version:
                raise changed(one)
            for count in _slices(descriptor, buffer, offset=offset, size=size):
                if stop.is_set():
                    raise Terminated("staging was interrupted")
                if not count:
                    raise changed(one)
                yield buffer[:count]
                offset += count
                reached(offset)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise changed(one) from error


def is_changed(one: HashedFile) -> bool:
    """Whether the file is another one than the one that was hashed, or gone."""
    try:
        return FileVersion.of(one.file.path.stat()) != one.version
    except OSError:
        return True


def changed(one: HashedFile) -> DigestMismatch:
    """Return the error that says so."""
    return DigestMismatch(f"{one.file.dependency} was changed while it was staged")


def _slices(descriptor: int, buffer: memoryview, *, offset: int, size: int) -> Iterator[int]:
    """Fill the buffer again and again; yield how many bytes it has, 0 where the file ends too early."""
    end = offset + size
    if size > len(buffer):
        # What comes after these bytes is read from the disk while they are sent.
        os.posix_fadvise(descriptor, end, size, os.POSIX_FADV_WILLNEED)
    while offset < end:
        count = os.preadv(descriptor, [buffer[: min(len(buffer), end - offset)]], offset)
        offset += count
        yield count
