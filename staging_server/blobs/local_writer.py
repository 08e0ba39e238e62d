"""The bytes of one upload on their way into a file.

The file grows, and the hash follows: bytes are hashed as they pass by when the hash stands where they begin.  Where it
does not (another process wrote what lies before them), it catches up by reading the file back, once, when the digest is
asked for.

The writer holds the lock (flock) of its file from the first step to the last, so that one writer of all processes adds
bytes.
"""

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, ParamSpec, Protocol, TypeVar

from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch, Unavailable
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import BlobKey, BlobWriter
from staging_server.blobs.disk_errors import translated
from staging_server.blobs.kept_hashes import KeptHashes
from staging_server.blobs.upload_files import make_locked, sync_folder
from staging_server.blobs.write_back import begin_write_back

P = ParamSpec("P")
R = TypeVar("R")

_READ_BACK: Final = 1024 * 1024
"""Bytes read at once to catch up; sixteen such reads make one step on a thread, so that others get their turn."""

_READS: Final = 16


class Disk(Protocol):
    """The store that a writer belongs to."""

    @property
    def flush_every(self) -> int:
        """Bytes after which the kernel is asked to write."""
        ...

    @property
    def hashes(self) -> KeptHashes:
        """Hashes of uploads that nobody writes just now."""
        ...

    def path(self, key: BlobKey) -> Path:
        """Return where the bytes under `key` lie."""
        ...

    def upload_path(self, upload: UploadId) -> Path:
        """Return where the bytes of `upload` lie before its commit."""
        ...

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        """Begin `function` on a thread; errors of the file system become ours."""
        ...

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function` on a thread; errors of the file system become ours."""
        ...


class LocalWriter:
    """`BlobWriter` to a file, which the first write makes.

    Its steps run on threads, and a step whose caller went away runs on.  So each holds the lock of the writer, and
    `cancel` comes after the step that is running.
    """

    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk = disk
        self._path = path
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._size = 0
        self._flushed = 0
        self._flush_every = disk.flush_every
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._ended = False

    @property
    def size(self) -> int:
        """See `BlobWriter.size`."""
        return self._size

    async def write(self, chunks: Sequence[bytes]) -> None:
        """See `BlobWriter.write`."""
        await self._disk.run(self._write, chunks)

    def write_now(self, view: memoryview) -> None:
        """See `BlobWriter.write_now`."""
        with translated(), self._lock:
            self._append(self._open(), [view])

    def hash_now(self, view: memoryview, *, offset: int) -> None:
        """See `BlobWriter.hash_now`."""
        if offset == self._hashed:  # else `digest` reads it back
            self._hash.update(view)
            self._hashed += len(view)

    async def digest(self) -> Digest:
        """See `BlobWriter.digest`."""
        while self._hashed != self._size:
            await self._disk.run(self._catch_up)
        return Digest.of_hash(self._hash.digest())

    async def commit(self, key: BlobKey) -> None:
        """See `BlobWriter.commit`."""
        await self._disk.run(self._commit, self._disk.path(key))

    async def write_whole(self, chunks: Sequence[bytes], key: BlobKey) -> None:
        """See `BlobWriter.write_whole`."""
        await self._disk.run(self._write_whole, chunks, key)

    async def cancel(self) -> None:
        """See `BlobWriter.cancel`."""
        await self._disk.run(self._cancel)

    def _write(self, chunks: Sequence[bytes]) -> None:
        with self._lock:
            in_step = self._hashed == self._size
            self._append(self._open(), chunks)
            if in_step:
                for chunk in chunks:
                    self._hash.update(chunk)
                self._hashed = self._size

    def _write_whole(self, chunks: Sequence[bytes], key: BlobKey) -> None:
        self._write(chunks)
        actual = Digest.of_hash(self._hash.digest())
        if actual != key.digest:
            msg = f"the bytes have {actual}, {key.digest} was promised"
            raise DigestMismatch(msg)
        self._commit(self._disk.path(key))

    def _append(self, fd: int, chunks: Iterable[bytes | memoryview]) -> None:
        """Write all of `chunks`; when that fails in the middle, `size` says how far it came."""
        views = [memoryview(chunk) for chunk in chunks if chunk]
        while views:
            written = os.writev(fd, views[: os.sysconf("SC_IOV_MAX")])
            self._size += written
            while views and written >= len(views[0]):
                written -= len(views.pop(0))
            if written:
                views[0] = views[0][written:]
        if self._flush_every and self._size - self._flushed >= self._flush_every:
            begin_write_back(fd, self._flushed, size=self._size - self._flushed)
            self._flushed = self._size

    def _catch_up(self) -> None:
        """Hash some bytes of the file that the hash has not seen."""
        with self._lock:
            fd = self._open()
            if self._hashed > self._size:  # a write failed whose bytes were hashed already
                self._hash, self._hashed = hashlib.sha256(), 0
            for _ in range(_READS):
                piece = os.pread(fd, min(_READ_BACK, self._size - self._hashed), self._hashed)
                self._hash.update(piece)
                self._hashed += len(piece)
            if not piece and self._hashed != self._size:
                raise Unavailable("the bytes of this upload are not in the store any more")

    def _commit(self, target: Path) -> None:
        with self._lock:
            os.fsync(self._open())
            self._path.rename(target)
            sync_folder(target.parent)
            # The folder it left need not be written: a name that a power cut brought back is swept, without its bytes.
            self._close()

    def _cancel(self) -> None:
        with self._lock:
            if not self._ended:
                self._path.unlink(missing_ok=True)
            self._close()

    def _open(self) -> int:
        if self._ended:
            raise Unavailable("this upload has ended")
        if self._fd is None:
            self._fd = make_locked(self._path)
        return self._fd

    def _close(self) -> None:
        self._ended = True
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _is_writer(writer: LocalWriter) -> BlobWriter:
    return writer
