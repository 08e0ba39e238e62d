"""The bytes of many small blobs on their way into files: they come one behind the other, and are cut where one ends.

    write, hash      each into a file of its own under `uploads/`, locked like that of a single upload
    verify           all of them, before one is renamed
    flush            all files; rename all; flush each folder once

The disk is asked to begin with all files before the first is waited for: it then needs a few of its own commits for all
of them, instead of one for each.
"""

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch, Unavailable
from staging_server.blobs.base import Batched, BatchWriter, BlobKey
from staging_server.blobs.disk_errors import translated
from staging_server.blobs.local_writer import Disk
from staging_server.blobs.upload_files import make_locked, sync_folder
from staging_server.blobs.write_back import begin_write_back


class LocalBatchWriter:
    """`BatchWriter` to files; its steps run on threads, one at a time, as those of `LocalWriter` do."""

    def __init__(self, disk: Disk, batch: Sequence[Batched]) -> None:
        self._disk = disk
        self._batch: Final = tuple(batch)
        self._whole: Final = sum(one.size for one in batch)
        self._hashes = {one.key: hashlib.sha256() for one in batch if one.key is not None}
        self._to_write = _Cuts(self._batch)
        self._to_hash = _Cuts(self._batch)
        self._size = 0
        self._files: dict[BlobKey, int] = {}
        self._lock = threading.Lock()
        self._ended = False

    @property
    def size(self) -> int:
        """See `ByteWriter.size`."""
        return self._size

    async def write(self, chunks: Sequence[bytes]) -> None:
        """See `ByteWriter.write`."""
        await self._disk.run(self._write, chunks)

    def write_now(self, view: memoryview) -> None:
        """See `ByteWriter.write_now`."""
        with translated(), self._lock:
            self._append(view)

    def hash_now(self, view: memoryview, *, offset: int) -> None:  # noqa: ARG002 - it comes in order, from the first
        """See `ByteWriter.hash_now`."""
        for key, piece in self._to_hash.of(view):
            self._hashes[key].update(piece)

    async def commit(self) -> None:
        """See `BatchWriter.commit`."""
        await self._disk.run(self._commit)

    async def cancel(self) -> None:
        """See `ByteWriter.cancel`."""
        await self._disk.run(self._cancel)

    def _write(self, chunks: Sequence[bytes]) -> None:
        with self._lock:
            for chunk in chunks:
                view = memoryview(chunk)
                self.hash_now(view, offset=self._size)
                self._append(view)

    def _append(self, view: memoryview) -> None:
        for key, piece in self._to_write.of(view):
            fd, rest = self._file(key), piece
            while rest:
                rest = rest[os.write(fd, rest) :]
        self._size += len(view)

    def _commit(self) -> None:
        with self._lock:
            self._verify()
            files = [self._file(key) for key in self._hashes]  # one without bytes is made here
            for fd in files:
                begin_write_back(fd, 0, size=0)
            for fd in files:
                os.fsync(fd)
            for key in self._hashes:
                self._disk.upload_path(key.upload).rename(self._disk.path(key))
            for folder in sorted({self._disk.path(key).parent for key in self._hashes}):
                sync_folder(folder)
            self._close()

    def _verify(self) -> None:
        if self._size != self._whole:
            msg = f"{self._size} bytes came, {self._whole} were promised"
            raise DigestMismatch(msg)
        for key, checksum in self._hashes.items():
            actual = Digest.of_hash(checksum.digest())
            if actual != key.digest:
                msg = f"the bytes have {actual}, {key.digest} was promised"
                raise DigestMismatch(msg)

    def _file(self, key: BlobKey) -> int:
        if self._ended:
            raise Unavailable("this upload has ended")
        fd = self._files.get(key)
        if fd is None:
            fd = self._files[key] = make_locked(self._disk.upload_path(key.upload))
        return fd

    def _cancel(self) -> None:
        with self._lock:
            if not self._ended:
                for key in self._files:
                    self._disk.upload_path(key.upload).unlink(missing_ok=True)
            self._close()

    def _close(self) -> None:
        self._ended = True
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()


class _Cuts:
    """Cuts bytes that come piece by piece into those of each blob."""

    def __init__(self, batch: Sequence[Batched]) -> None:
        self._coming: Iterator[Batched] = iter(batch)
        self._key: BlobKey | None = None
        self._left = 0

    def of(self, view: memoryview) -> Iterator[tuple[BlobKey, memoryview]]:
        """Yield the parts of `view` with the keys to which they belong; parts without a key are left out.

        Raises:
            DigestMismatch: it is longer than what was to come.
        """
        while view:
            while not self._left:
                self._take_next()
            piece, view = view[: self._left], view[self._left :]
            self._left -= len(piece)
            if self._key is not None:
                yield self._key, piece

    def _take_next(self) -> None:
        following = next(self._coming, None)
        if following is None:
            raise DigestMismatch("more bytes came than were promised")
        self._key, self._left = following.key, following.size


def _is_writer(writer: LocalBatchWriter) -> BatchWriter:
    return writer
