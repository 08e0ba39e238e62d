"""Files that become visible whole: written under a hidden name beside their final one, verified, then renamed.

    <folder>/.spark-staging-<16 hex of the final name's SHA-256>.part      a file that is being written
    <folder>/.spark-staging-<16 hex>.tree                                  a folder that is being filled
    <folder>/.spark-staging-<16 hex>.journal                               which parts of it are there
    <folder>/.spark-staging-<16 hex of .records>.jsonl                     what we know of finished ones

Hidden names follow from final ones, so the next run finds, uses or removes what a killed run left.  Everything gets
the mode that Spark needs (files 0644, folders 0755), whatever the umask.

What is flushed to the disk, and when, is decided in docs/decisions/0003-what-is-flushed.md.
"""

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from staging_protocol.digests import Digest
from staging_protocol.errors import Denied, InvalidRequest, NoSpace, RequestInProgress, StagingError

HIDDEN_PREFIX: Final = ".spark-staging-"
"""No dependency may have a name that begins so."""

FILE_MODE: Final = 0o644
EXECUTABLE_MODE: Final = 0o755
FOLDER_MODE: Final = 0o755

_UNFINISHED: Final = frozenset({".part", ".journal", ".tree", ".old"})
_READ_SIZE: Final = 1024 * 1024
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_LOCKS: Final = frozenset({errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL})


class UnfinishedFile:
    """A file under its hidden name.  It ends by `commit` or by `discard`; several threads may write parts of it."""

    def __init__(self, final: str | Path, *, keep: bool = False) -> None:
        """Open the hidden file of `final`, emptied unless its bytes shall be kept for resuming.

        Raises:
            NoSpace, Denied, InvalidRequest: it cannot be made.
        """
        # Plain strings here: there may be thousands of small files, and a Path costs more than the call it is for.
        self.final = str(final)
        self.path = _hidden(self.final, "part")
        self._fd = -1
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | (0 if keep else os.O_TRUNC)
        try:
            self._fd = os.open(self.path, flags, FILE_MODE)
            os.fchmod(self._fd, FILE_MODE)  # whatever the umask; now, so that a flush covers it
        except OSError as error:
            raise of_os(error, self.final) from error

    def reserve(self, size: int) -> None:
        """Take the space for `size` bytes now, so that a full volume is noticed before the work is done."""
        if size:
            with translated(self.final):
                os.posix_fallocate(self._fd, 0, size)

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of `data` at `offset`."""
        try:
            done = os.pwrite(self._fd, data, offset)
            while done < len(data):
                done += os.pwrite(self._fd, data[done:], offset + done)
        except OSError as error:
            raise of_os(error, self.final) from error

    def read(self, buffer: memoryview, offset: int) -> int:
        """Read into `buffer` from `offset`; return how many bytes came."""
        with translated(self.final):
            return os.preadv(self._fd, [buffer], offset)

    def sync(self) -> None:
        """Make bytes, size and mode durable."""
        with translated(self.final):
            os.fsync(self._fd)

    def commit(self) -> None:
        """Give the file its final name; it replaces a file of that name at once."""
        try:
            os.rename(self.path, self.final)  # noqa: PTH104 - plain strings, see above
        except OSError as error:
            raise of_os(error, self.final) from error
        self.close()

    def discard(self) -> None:
        """Remove the hidden name.  Threads that still write do no harm: the file ends with the last of them."""
        with suppress(OSError):
            os.unlink(self.path)  # noqa: PTH108 - plain strings, see above

    def close(self) -> None:
        """Close it as it is; doing it again is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        """Close it when no thread has it any more: earlier, a late write could hit another file of that number."""
        self.close()


def hidden(final: str | Path, suffix: str) -> Path:
    """Return the hidden sibling of `final`; its length does not depend on the length of the name."""
    return Path(_hidden(str(final), suffix))


def _hidden(final: str, suffix: str) -> str:
    folder, name = os.path.split(final)
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return os.path.join(folder, f"{HIDDEN_PREFIX}{digest}.{suffix}")  # noqa: PTH118 - plain strings, see above


def digest_of(path: str | Path, *, check: Callable[[], None] = lambda: None) -> Digest:
    """Return the digest of a file, read in flat memory; `check` is called between reads and may raise."""
    digest = hashlib.sha256()
    for data in read_all(path):
        digest.update(data)
        check()
    return Digest.of_hash(digest.digest())


def read_all(path: str | Path) -> Iterator[memoryview]:
    """Yield the bytes of a file in flat memory; each piece is good until the next one is asked for."""
    buffer = memoryview(bytearray(_READ_SIZE))
    with translated(path), open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path or a string
        while count := file.readinto(buffer):
            yield buffer[:count]


def regular_size(path: str | Path) -> int | None:
    """Return the size of the regular file at `path`; None when there is none (a link is none)."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def make_folder(folder: Path, *, durable: bool = False) -> None:
    """Make `folder` and its parents where they are missing, each with mode 0755; `durable` flushes their names."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    with translated(folder):
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            path.chmod(FOLDER_MODE)
            if durable:
                flush_folder(path.parent)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def remove_leftovers(folder: Path, *, keep_journals: bool = False) -> None:
    """Remove what a killed run left under hidden names, or all but what has a journal to go on with."""
    with translated(folder):
        hidden_paths = [path for path in folder.iterdir() if path.name.startswith(HIDDEN_PREFIX)]
    journals = {path.stem for path in hidden_paths if path.suffix == ".journal"} if keep_journals else set()
    for path in hidden_paths:
        if path.suffix in _UNFINISHED and not (path.stem in journals and path.suffix in {".part", ".journal"}):
            remove_tree(path)


def remove_tree(path: Path) -> None:
    """Remove a file or a whole folder, if it is there; links are removed, never followed."""
    if path.is_dir() and not path.is_symlink():
        import shutil  # 3 ms, and most runs have nothing to remove

        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    with translated(folder):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def free_space(folder: Path) -> tuple[int, int]:
    """Return the identity of the volume that `folder` lies on, and the bytes that are free there."""
    with translated(folder):
        status = os.statvfs(folder)
        return folder.stat().st_dev, status.f_bavail * status.f_frsize


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Let one process at a time write into `folder`; the lock ends with the process, however that ends.

    Raises:
        RequestInProgress: another process writes there now.
    """
    with translated(folder):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(fd, folder)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, folder: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        msg = f"another process is resolving into {folder}"
        raise RequestInProgress(msg) from error
    except OSError as error:
        # Some network file systems have no locks; there the user has to take care.
        if error.errno not in _NO_LOCKS:
            raise of_os(error, folder) from error


@contextmanager
def translated(path: str | Path) -> Iterator[None]:
    """Turn an operating system's error about `path` into one of ours."""
    try:
        yield
    except OSError as error:
        raise of_os(error, path) from error


def of_os(error: OSError, path: str | Path) -> StagingError:
    """Return our error for an operating system's error about `path`."""
    reason = error.strerror or type(error).__name__
    if error.errno in _NO_SPACE:
        return NoSpace(f"the volume of {path} is full ({reason}); give it more space, or stage less")
    if error.errno in _DENIED:
        return Denied(f"cannot use {path}: {reason}")
    return InvalidRequest(f"cannot use {path}: {reason}")
