"""The files under `uploads/`: made, opened and locked.  All of it waits for the disk.

The lock (flock) belongs to the file, not to its name.  So whoever got it looks whether the name still leads to the same
file: the one who had it before may have renamed or removed it.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_MODE: Final = 0o640


def make_locked(path: Path) -> int:
    """Make a file for writing and reading back, and lock it; raises FileExistsError when it is there."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return fd


def open_locked(path: Path, *, aside: Path) -> int | None:
    """Open the file at `path`, else the one at `aside`, else make one at `path`; and lock it.

    Returns:
        The descriptor, or None while somebody else has the lock.
    """
    while True:
        fd = _open_either(path, aside)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if leads_to(path, fd) or leads_to(aside, fd):
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def leads_to(path: Path, fd: int) -> bool:
    """Tell whether `path` is a name of the open file."""
    try:
        named = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(named, os.fstat(fd))


def sync_folder(folder: Path) -> None:
    """Write the entries of `folder` to the disk: before that a power cut may undo a rename."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _open_either(path: Path, aside: Path) -> int:
    """Only a file that is at neither place is made: while a writer moves one, it is at one of them."""
    while True:
        for place in (path, aside):
            with suppress(FileNotFoundError):
                return os.open(place, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        with suppress(FileExistsError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
