"""Files that are open for reading, one descriptor for all who read the same bytes.

Opening waits for the disk, so a thread does it, and a trip to a thread costs more than sending a small file.  When a
job starts, a thousand pods ask for the same few files: so a file stays open for a moment after its last reader.

The bytes under a key never change.  When they are removed, whoever has them open reads on, nobody new gets them, and
the disk has its space back after the last reader.  A file that another process removes is held for that moment longer.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, ParamSpec, Protocol, TypeVar

from staging_server.blobs.base import BlobKey

P = ParamSpec("P")
R = TypeVar("R")

_MOMENT: Final = 2.0
"""Seconds that an unused file stays open."""

_MOST: Final = 256
"""Files beyond which an unused one is closed at once."""


class Threads(Protocol):
    """Runs what waits for the disk."""

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        """Begin `function` on a thread."""
        ...


@dataclass(slots=True, eq=False)
class _Shared:
    """`opening` gives the file and its size; `timer` looks whether it is still used."""

    opening: asyncio.Future[tuple[BinaryIO, int]]
    users: int = 0
    unused_since: float = 0.0
    timer: asyncio.TimerHandle | None = None
    kept: bool = True

    def close(self) -> None:
        """Close the file, now or once it is open; that does not wait for the disk, since nothing was written."""
        if self.timer is not None:
            self.timer.cancel()
        if self.opening.done():
            _close(self.opening)
        else:
            self.opening.add_done_callback(_close)


class OpenFiles:
    """The open files below `folder`, by key."""

    def __init__(self, folder: Path, *, threads: Threads) -> None:
        self._folder = folder
        self._threads = threads
        self._files: dict[BlobKey, _Shared] = {}

    async def open(self, key: BlobKey) -> "LocalBlob":
        """Return the bytes under `key`; raises what opening raises."""
        shared = self._files.get(key)
        if shared is None:
            shared = self._files[key] = _Shared(self._threads.submit(_open, self._folder / key))
        shared.users += 1
        try:
            # Shielded: others may wait for it, too.
            file, size = shared.opening.result() if shared.opening.done() else await asyncio.shield(shared.opening)
        except BaseException:
            self.give_back(key, shared)
            raise
        return LocalBlob(self, key, shared=shared, file=file, size=size)

    def forget(self, key: BlobKey) -> None:
        """Let nobody new have the bytes under `key`."""
        shared = self._files.pop(key, None)
        if shared is None:
            return
        shared.kept = False
        if not shared.users:
            shared.close()

    def close(self) -> None:
        """Forget all files."""
        for key in list(self._files):
            self.forget(key)

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        """Begin `function` on a thread."""
        return self._threads.submit(function, *args, **kwargs)

    def give_back(self, key: BlobKey, shared: _Shared) -> None:
        """Take note that one reader has gone."""
        shared.users -= 1
        if shared.kept and (_has_failed(shared.opening) or (not shared.users and len(self._files) > _MOST)):
            self.forget(key)
        elif not shared.users:
            self._rest(key, shared)

    def _rest(self, key: BlobKey, shared: _Shared) -> None:
        if not shared.kept:
            shared.close()
            return
        loop = asyncio.get_running_loop()
        shared.unused_since = loop.time()
        if shared.timer is None:  # one for many readers: it goes off again as long as there were some
            shared.timer = loop.call_later(_MOMENT, self._look, key, shared)

    def _look(self, key: BlobKey, shared: _Shared) -> None:
        shared.timer = None
        if shared.users:
            return
        loop = asyncio.get_running_loop()
        end = shared.unused_since + _MOMENT
        if end <= loop.time():
            self.forget(key)
        else:
            shared.timer = loop.call_at(end, self._look, key, shared)


class LocalBlob:
    """`OpenBlob` of a file that others may be reading, too."""

    def __init__(self, files: OpenFiles, key: BlobKey, *, shared: _Shared, file: BinaryIO, size: int) -> None:
        self._files = files
        self._key = key
        self._shared: _Shared | None = shared
        self._file = file
        self._size = size

    @property
    def size(self) -> int:
        """See `OpenBlob.size`."""
        return self._size

    @property
    def file(self) -> BinaryIO:
        """See `OpenBlob.file`."""
        return self._file

    async def read(self, offset: int, *, size: int) -> bytes:
        """See `OpenBlob.read`."""
        return await self._files.submit(os.pread, self._file.fileno(), size, offset)

    async def close(self) -> None:
        """See `OpenBlob.close`."""
        shared, self._shared = self._shared, None
        if shared is not None:
            self._files.give_back(self._key, shared)


def _open(path: Path) -> tuple[BinaryIO, int]:
    file = path.open("rb", buffering=0)
    return file, os.fstat(file.fileno()).st_size


def _close(opening: asyncio.Future[tuple[BinaryIO, int]]) -> None:
    if not _has_failed(opening):
        opening.result()[0].close()


def _has_failed(opening: asyncio.Future[tuple[BinaryIO, int]]) -> bool:
    return opening.done() and (opening.cancelled() or opening.exception() is not None)
