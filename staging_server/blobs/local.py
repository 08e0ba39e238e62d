"""Blobs in a folder of this machine.

    <folder>/uploads/<upload id>                   bytes on their way, locked (flock) by the process that writes them
    <folder>/sha256/ab/<hex>.<upload id>           bytes that were committed

A commit writes the bytes to the disk, renames the file, and writes the folder to the disk: only then may a database row
name the key (DESIGN 7).  The lock tells an upload under way from one whose process died, without any clock.

Of an upload in parts the file is the truth: its size is the offset, also after its process died.
"""

import asyncio
import fcntl
import functools
import os
import stat
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from staging_protocol.errors import InvalidRequest
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import (
    PREFIXES,
    Batched,
    BatchWriter,
    BlobKey,
    BlobStore,
    BlobWriter,
    Leftover,
    OpenBlob,
    ResumableWriter,
    Space,
)
from staging_server.blobs.disk_errors import translated
from staging_server.blobs.kept_hashes import KeptHashes
from staging_server.blobs.local_batch import LocalBatchWriter
from staging_server.blobs.local_parts import LocalResumableWriter
from staging_server.blobs.local_writer import LocalWriter
from staging_server.blobs.open_files import LocalBlob, OpenFiles
from staging_server.blobs.upload_files import sync_folder

P = ParamSpec("P")
R = TypeVar("R")

_UPLOADS: Final = "uploads"
_FOLDER_MODE: Final = 0o750
_YOUNG: Final = 60.0
"""Seconds in which a new upload may not have its lock yet."""


class LocalBlobs:
    """`BlobStore` in `folder`, which exists; `close` ends its threads."""

    def __init__(self, folder: Path, *, io_threads: int = 8, flush_every: int = 0) -> None:
        self._folder = folder
        self._flush_every = flush_every
        self._threads = ThreadPoolExecutor(io_threads, thread_name_prefix="blobs")
        self._open_files = OpenFiles(folder, threads=self)
        self._hashes = KeptHashes()

    async def prepare(self) -> None:
        """Make the folders.

        Raises:
            Unavailable: that is not possible.
        """
        await self.run(self._make_folders)

    async def create(self, upload: UploadId) -> BlobWriter:
        """See `BlobStore.create`."""
        return LocalWriter(self, self.upload_path(upload))

    async def create_batch(self, batch: Sequence[Batched]) -> BatchWriter:
        """See `BlobStore.create_batch`."""
        return LocalBatchWriter(self, batch)

    async def resume(self, upload: UploadId, *, key: BlobKey) -> ResumableWriter:
        """See `BlobStore.resume`."""
        return LocalResumableWriter(self, self.upload_path(upload), aside=self.path(key))

    async def open(self, key: BlobKey) -> OpenBlob:
        """See `BlobStore.open`."""
        return await self._open_files.open(key)

    async def remove(self, key: BlobKey) -> None:
        """See `BlobStore.remove`."""
        self._open_files.forget(key)
        await self.run(self.path(key).unlink, missing_ok=True)

    async def forget(self, upload: UploadId) -> None:
        """See `BlobStore.forget`."""
        self._hashes.forget(upload)
        await self.run(self.upload_path(upload).unlink, missing_ok=True)

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

    def upload_path(self, upload: UploadId) -> Path:
        """Return where the bytes of `upload` lie before its commit."""
        return self._folder / _UPLOADS / upload

    @property
    def flush_every(self) -> int:
        """Bytes after which the kernel is asked to write."""
        return self._flush_every

    @property
    def hashes(self) -> KeptHashes:
        """Hashes of uploads that nobody writes just now."""
        return self._hashes

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        """Begin `function` on a thread of the store."""
        work = functools.partial(_translated, functools.partial(function, *args, **kwargs))
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function` on a thread of the store."""
        return await self.submit(function, *args, **kwargs)

    def _make_folders(self) -> None:
        for folder in (_UPLOADS, "sha256", *(f"sha256/{prefix}" for prefix in PREFIXES)):
            (self._folder / folder).mkdir(mode=_FOLDER_MODE, exist_ok=True)
        sync_folder(self._folder / "sha256")
        sync_folder(self._folder)

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


def _translated(work: Callable[[], R]) -> R:
    with translated():
        return work()


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


def _proof(store: LocalBlobs, blob: LocalBlob) -> tuple[BlobStore, OpenBlob]:
    """Let mypy prove that the classes are what their docstrings say."""
    return store, blob
