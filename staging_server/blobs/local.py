"""Blobs in a folder of this machine.

    <folder>/uploads/<upload id>                   bytes on their way, locked (flock) by the process that writes them
    <folder>/sha256/ab/<hex>.<upload id>           bytes that were committed

A commit writes the bytes to the disk, renames the file, and writes the folder to the disk: only then may a database row
name the key (DESIGN 7).  The lock tells an upload under way from one whose process died, without any clock.
"""

import asyncio
import errno
import fcntl
import functools
import hashlib
import os
import stat
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, NoSpace, NotFound, Unavailable
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import PREFIXES, BlobKey, BlobStore, BlobWriter, Leftover, OpenBlob, Space
from staging_server.blobs.open_files import LocalBlob, OpenFiles

P = ParamSpec("P")
R = TypeVar("R")

_UPLOADS: Final = "uploads"
_FILE_MODE: Final = 0o640
_FOLDER_MODE: Final = 0o750
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_YOUNG: Final = 60.0
"""Seconds in which a new upload may not have its lock yet."""


class LocalBlobs:
    """`BlobStore` in `folder`, which exists; `close` ends its threads."""

    def __init__(self, folder: Path, *, io_threads: int = 8, flush_every: int = 0) -> None:
        self._folder = folder
        self._flush_every = flush_every
        self._threads = ThreadPoolExecutor(io_threads, thread_name_prefix="blobs")
        self._open_files = OpenFiles(folder, threads=self)

    async def prepare(self) -> None:
        """Make the folders.

        Raises:
            Unavailable: that is not possible.
        """
        await self.run(self._make_folders)

    async def create(self, upload: UploadId) -> BlobWriter:
        """See `BlobStore.create`."""
        return LocalWriter(self, self._upload_path(upload))

    async def open(self, key: BlobKey) -> OpenBlob:
        """See `BlobStore.open`."""
        return await self._open_files.open(key)

    async def remove(self, key: BlobKey) -> None:
        """See `BlobStore.remove`."""
        self._open_files.forget(key)
        await self.run(self.path(key).unlink, missing_ok=True)

    async def forget(self, upload: UploadId) -> None:
        """See `BlobStore.forget`."""
        await self.run(self._upload_path(upload).unlink, missing_ok=True)

    async def abandoned(self) -> AsyncIterator[UploadId]:
        """See `BlobStore.abandoned`."""
        for upload in await self.run(self._find_abandoned):
            yield upload

    async def listing(self, prefix: str) -> AsyncIterator[Leftover]:
        """See `BlobStore.listing`."""
        for leftover in await self.run(self._list, prefix):
            yield leftover

    async def space(self) -> Space:
        """See `BlobStore.space`."""
        found = await self.run(os.statvfs, self._folder)
        # What is kept for root is neither free for us nor ours to count.
        return Space(total=found.f_frsize * (found.f_blocks - found.f_bfree + found.f_bavail),
                     free=found.f_frsize * found.f_bavail)  # fmt: skip

    async def close(self) -> None:
        """End the threads; what they are at is finished first."""
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)
        self._open_files.close()

    def path(self, key: BlobKey) -> Path:
        """Return where the bytes under `key` lie; the only place that builds paths from keys."""
        return self._folder / key

    @property
    def flush_every(self) -> int:
        """Bytes after which the kernel is asked to write."""
        return self._flush_every

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        """Begin `function` on a thread of the store."""
        work = functools.partial(_translated, functools.partial(function, *args, **kwargs))
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function` on a thread of the store."""
        return await self.submit(function, *args, **kwargs)

    def _upload_path(self, upload: UploadId) -> Path:
        return self._folder / _UPLOADS / upload

    def _make_folders(self) -> None:
        for folder in (_UPLOADS, "sha256", *(f"sha256/{prefix}" for prefix in PREFIXES)):
            (self._folder / folder).mkdir(mode=_FOLDER_MODE, exist_ok=True)
        _sync_folder(self._folder / "sha256")
        _sync_folder(self._folder)

    def _find_abandoned(self) -> list[UploadId]:
        with os.scandir(self._folder / _UPLOADS) as entries:
            return [UploadId(entry.name) for entry in entries if _is_upload(entry.name) and _is_abandoned(entry)]

    def _list(self, prefix: str) -> list[Leftover]:
        now = time.time()
        with os.scandir(self._folder / "sha256" / prefix) as entries:
            found = [(f"sha256/{prefix}/{entry.name}", entry.stat()) for entry in entries if entry.is_file()]
        return [
            Leftover(key=BlobKey(name), size=status.st_size, age=now - status.st_mtime)
            for name, status in found
            if _is_key(name)
        ]


class LocalWriter:
    """`BlobWriter` to a file, which the first write makes.

    Its steps run on threads, and a step whose caller went away runs on.  So each holds the lock of the writer, and
    `cancel` comes after the step that is running.
    """

    def __init__(self, store: LocalBlobs, path: Path) -> None:
        self._store = store
        self._path = path
        self._hash = hashlib.sha256()
        self._size = 0
        self._flushed = 0
        self._flushing: asyncio.Future[None] | None = None
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._ended = False

    @property
    def size(self) -> int:
        """See `BlobWriter.size`."""
        return self._size

    async def write(self, chunks: Sequence[bytes]) -> None:
        """See `BlobWriter.write`."""
        await self._store.run(self._write, chunks)
        self._flush_beside()

    async def digest(self) -> Digest:
        """See `BlobWriter.digest`."""
        return Digest.of_hash(self._hash.digest())

    async def commit(self, key: BlobKey) -> None:
        """See `BlobWriter.commit`."""
        if self._flushing is not None:
            await self._flushing
        await self._store.run(self._commit, self._store.path(key))

    async def cancel(self) -> None:
        """See `BlobWriter.cancel`."""
        if self._flushing is not None:
            # It must not be left with a closed file; how it ended is of no interest any more.
            await asyncio.gather(self._flushing, return_exceptions=True)
        await self._store.run(self._cancel)

    def _write(self, chunks: Sequence[bytes]) -> None:
        with self._lock:
            fd = self._open()
            for chunk in chunks:
                self._hash.update(chunk)
            _write_all(fd, chunks)
            self._size += sum(len(chunk) for chunk in chunks)

    def _flush_beside(self) -> None:
        """Let the disk work while more bytes arrive, one such request at a time."""
        every = self._store.flush_every
        busy = self._flushing is not None and not self._flushing.done()
        if every == 0 or self._fd is None or busy or self._size - self._flushed < every:
            return
        self._flushed = self._size
        self._flushing = self._store.submit(os.fdatasync, self._fd)

    def _commit(self, target: Path) -> None:
        with self._lock:
            os.fsync(self._open())
            self._path.rename(target)
            _sync_folder(target.parent)
            _sync_folder(self._path.parent)
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
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self._fd

    def _close(self) -> None:
        self._ended = True
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _translated(work: Callable[[], R]) -> R:
    """Run `work`; the edge at which errors of the file system become ours."""
    try:
        return work()
    except FileNotFoundError as error:
        raise NotFound("the bytes of this blob are not in the store") from error
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace("the disk of the blobs is full") from error
        msg = f"the disk of the blobs failed: {error.strerror}"
        raise Unavailable(msg, retry_after=10) from error


def _write_all(fd: int, chunks: Iterable[bytes]) -> None:
    views = [memoryview(chunk) for chunk in chunks if chunk]
    while views:
        written = os.writev(fd, views[: os.sysconf("SC_IOV_MAX")])
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if written:
            views[0] = views[0][written:]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _is_key(name: str) -> bool:
    try:
        BlobKey(name)
    except InvalidRequest:
        return False
    return True


def _is_upload(name: str) -> bool:
    try:
        UploadId(name)
    except InvalidRequest:
        return False
    return True


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    try:
        fd = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or time.time() - status.st_mtime < _YOUNG:
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(fd)


def _proof(store: LocalBlobs, writer: LocalWriter, blob: LocalBlob) -> tuple[BlobStore, BlobWriter, OpenBlob]:
    """Let mypy prove that the classes are what their docstrings say."""
    return store, writer, blob
