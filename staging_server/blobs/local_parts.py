"""The bytes of an upload that comes in parts, on their way into a file: one writer after the other adds to it.

Between two of them the file waits without a lock, and the hash of its bytes in memory, as long as there is room for it.
"""

import os
from pathlib import Path
from typing import Final

from staging_protocol.errors import Unavailable
from staging_server.blobs.base import ResumableWriter
from staging_server.blobs.local_writer import Disk, LocalWriter
from staging_server.blobs.upload_files import leads_to, open_locked, sync_folder

_FLUSH_PART: Final = 1024 * 1024
"""Bytes of a part after which the kernel is asked to write: each part ends with a flush, and the client waits for it.
Measured with parts of 8 MiB on a disk: that flush takes half as long."""


class LocalResumableWriter(LocalWriter):
    """`ResumableWriter` to a file that may have bytes already; `aside` is where an interrupted commit may have it."""

    def __init__(self, disk: Disk, path: Path, *, aside: Path) -> None:
        super().__init__(disk, path)
        self._aside = aside
        self._flush_every = min(self._flush_every, _FLUSH_PART)
        self._has_entry = False

    async def open(self) -> bool:
        """See `ResumableWriter.open`."""
        return await self._disk.run(self._open_again)

    async def claim(self) -> None:
        """See `ResumableWriter.claim`."""
        await self._disk.run(self._claim)

    async def checkpoint(self) -> int:
        """See `ResumableWriter.checkpoint`."""
        return await self._disk.run(self._checkpoint)

    async def park(self) -> None:
        """See `ResumableWriter.park`."""
        await self._disk.run(self._park)

    def _open_again(self) -> bool:
        with self._lock:
            if self._ended:
                raise Unavailable("this upload has ended")
            self._fd = open_locked(self._path, aside=self._aside)
            if self._fd is None:
                return False
            status = os.fstat(self._fd)
            self._size = self._flushed = os.lseek(self._fd, 0, os.SEEK_END)
            self._has_entry = self._size > 0
            kept = self._disk.hashes.take(self._path.name, inode=status.st_ino)
            if kept is not None and kept.hashed <= self._size:
                self._hash, self._hashed = kept.hash, kept.hashed
            return True

    def _claim(self) -> None:
        with self._lock:
            if leads_to(self._aside, self._open()):
                self._aside.rename(self._path)
                self._has_entry = False

    def _checkpoint(self) -> int:
        with self._lock:
            size = self._size
            os.fdatasync(self._open())
            if not self._has_entry and size > 0:
                sync_folder(self._path.parent)
                self._has_entry = True
            return size

    def _park(self) -> None:
        with self._lock:
            if self._fd is not None and self._size == 0:
                # Without bytes no file, so that one that was made in vain does not hide one at `aside`.
                self._path.unlink(missing_ok=True)
            elif self._fd is not None and 0 < self._hashed <= self._size:
                inode = os.fstat(self._fd).st_ino
                self._disk.hashes.keep(self._path.name, inode=inode, hashed=self._hashed, state=self._hash)
            self._close()


def _is_writer(writer: LocalResumableWriter) -> ResumableWriter:
    return writer
