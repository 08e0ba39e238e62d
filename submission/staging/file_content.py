"""The bytes of a file as it was hashed: whoever sends them notices when it is another one by now."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from staging_protocol.errors import DigestMismatch, Terminated
from submission.staging.hashing import HashedFile
from submission.staging.local_files import FileVersion

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
    return _slices(((one, offset, size),), size=size, at=offset, reached=reached, stop=stop)


def contents(
    files: Sequence[HashedFile], *, reached: Callable[[int], None], stop: threading.Event
) -> Iterator[memoryview]:
    """Yield all bytes of `files`, one behind the other; else like `content`."""
    pieces = tuple((one, 0, one.version.size) for one in files)
    return _slices(pieces, size=sum(size for _, _, size in pieces), at=0, reached=reached, stop=stop)


def is_changed(one: HashedFile) -> bool:
    """Whether the file is another one than the one that was hashed, or gone."""
    try:
        return FileVersion.of(one.file.path.stat()) != one.version
    except OSError:
        return True


def changed(one: HashedFile) -> DigestMismatch:
    """Return the error that says so."""
    return DigestMismatch(f"{one.file.dependency} was changed while it was staged")


def _slices(
    pieces: Iterable[tuple[HashedFile, int, int]],
    *,
    size: int,
    at: int,
    reached: Callable[[int], None],
    stop: threading.Event,
) -> Iterator[memoryview]:
    """Yield the bytes of each piece, a file with an offset and a size, in slices that end where they like."""
    buffer, filled = memoryview(bytearray(min(_SLICE, size))), 0
    for one, begin, count in pieces:
        offset, end = begin, begin + count
        with _opened(one) as descriptor:
            if count > _SLICE:
                # What comes after these bytes is read from the disk while they are sent.
                os.posix_fadvise(descriptor, end, count, os.POSIX_FADV_WILLNEED)
            while offset < end:
                read = os.preadv(descriptor, [buffer[filled : filled + end - offset]], offset)
                if stop.is_set():
                    raise Terminated("staging was interrupted")
                if not read:
                    raise changed(one)
                offset, filled = offset + read, filled + read
                if filled == len(buffer):
                    yield buffer
                    at, filled = at + filled, 0
                    reached(at)
    if filled:
        yield buffer[:filled]
        reached(at + filled)


@contextmanager
def _opened(one: HashedFile) -> Iterator[int]:
    """Open a file that is as it was hashed; what cannot be read any more is another one."""
    try:
        descriptor = os.open(one.file.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if FileVersion.of(os.fstat(descriptor)) != one.version:
                raise changed(one)
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise changed(one) from error
