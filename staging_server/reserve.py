"""Room on the database's disk that is kept for the day when the disk is full: to delete, a database has to write first.

A file of 4 MiB lies beside the SQLite file.  When a sweep finds the disk full it gives that room back, and deletes;
when a sweep is done, and there is room, the file is made again.  Uploads stop at the disk's high-water mark already, so
the room goes to what deletes, and not to what fills the disk (docs/decisions/0022-a-full-disk.md).
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_SIZE: Final = 4 * 1024 * 1024
"""Bytes: what the write-ahead log grows to before it is written back and used from its start again."""

_FULL: Final = 1024 * 1024
"""Free bytes below which a disk counts as full: a transaction of a sweep takes some tens of KiB."""


class Reserve:
    """The room beside the file `database`; without one (PostgreSQL) there is nothing to keep."""

    def __init__(self, database: Path | None) -> None:
        self._path = None if database is None else database.with_name(f"{database.name}.reserve")

    def give_if_full(self) -> None:
        """Give the room back to a full disk; never fails, because who calls is about to find out what still works."""
        if self._path is not None:
            with suppress(OSError):
                if _free(self._path.parent) < _FULL:
                    self._path.unlink(missing_ok=True)

    def keep(self) -> None:
        """Take the room again, where there is enough of it; a disk that fails now will be heard of elsewhere."""
        if self._path is None:
            return
        with suppress(OSError):
            if not self._path.exists() and _free(self._path.parent) > 2 * _SIZE:
                self._make(self._path)

    def _make(self, path: Path) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            os.posix_fallocate(fd, 0, _SIZE)
        except OSError:
            path.unlink(missing_ok=True)
        finally:
            os.close(fd)


def _free(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize
