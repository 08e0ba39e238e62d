"""A folder as an upload store: also a mount of HDFS, NFS or a bucket.

Everything is opened relative to the root, one part of the path after another, and never through a symbolic link: who
may write into the folder can then lead nobody out of it, not even by exchanging a folder while it is looked at.
Entries come as the system gives them, so a folder with a million of them takes no memory.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from staging_protocol.errors import Denied, InvalidRequest, NotFound, StagingError
from staging_protocol.printable import printable
from staging_server.leak_report.naming import is_upload_folder
from staging_server.leak_report.stores import Problems, StoredFile, UploadFolder, UploadStore

_DEEPEST: Final = 64
"""Folders within folders; each level has an open file and a frame on the stack."""
_READ: Final = os.O_RDONLY | os.O_CLOEXEC
_BUFFER: Final = 256 * 1024


@contextmanager
def open_folder(root: Path) -> Iterator[UploadStore]:
    """Open a folder; as the caller names it, `root` itself may be a symbolic link.

    Raises:
        NotFound: it is not there.
        Denied: it may not be read.
        InvalidRequest: it is no folder.
    """
    try:
        opened = os.open(root, _READ | os.O_DIRECTORY)
    except OSError as error:
        raise _refusal(root, error) from error
    try:
        yield _Folder(root, opened)
    finally:
        os.close(opened)


def _refusal(root: Path, error: OSError) -> StagingError:
    name = printable(str(root))
    match error:
        case FileNotFoundError():
            return NotFound(f"{name} is not there")
        case PermissionError():
            return Denied(f"{name} may not be read")
        case _:
            return InvalidRequest(f"{name} cannot be opened as a folder: {error.strerror}")


class _Folder:
    """An open folder.  Paths are relative to it, without a `/` at either end."""

    def __init__(self, root: Path, opened: int) -> None:
        self._root = root
        self._opened = opened

    @property
    def deletes(self) -> str:
        return "xargs -0 -r rm -r --"

    def shown(self, path: str) -> str:
        return str(self._root / path)

    def folders(self, problems: Problems) -> Iterator[UploadFolder]:
        yield from self._folders("", 0, problems)

    def files(self, folder: UploadFolder, problems: Problems) -> Iterator[StoredFile]:
        yield from self._files(folder.path, "", folder.path.count("/") + 1, problems)

    def sha256(self, folder: UploadFolder, file: StoredFile, problems: Problems) -> bytes | None:
        path = f"{folder.path}/{file.name}"
        digest, buffer = hashlib.sha256(), memoryview(bytearray(_BUFFER))
        try:
            # What became a pipe since it was listed must not keep us waiting.
            with self._beneath(path, os.O_NONBLOCK) as opened:
                while count := os.readv(opened, [buffer]):
                    digest.update(buffer[:count])
        except OSError as error:
            _note(problems, self.shown(path), error)
            return None
        return digest.digest()

    def _folders(self, at: str, depth: int, problems: Problems) -> Iterator[UploadFolder]:
        for entry, status in self._entries(at, depth, problems):
            if not stat.S_ISDIR(status.st_mode):
                continue
            path = f"{at}/{entry}" if at else entry
            if is_upload_folder(entry):
                yield UploadFolder(path=path, modified=status.st_mtime)
            else:
                yield from self._folders(path, depth + 1, problems)

    def _files(self, at: str, inside: str, depth: int, problems: Problems) -> Iterator[StoredFile]:
        for entry, status in self._entries(at, depth, problems):
            if stat.S_ISDIR(status.st_mode):
                yield from self._files(f"{at}/{entry}", f"{inside}{entry}/", depth + 1, problems)
            else:
                # Links, pipes and the like have nothing in them.
                size = status.st_size if stat.S_ISREG(status.st_mode) else 0
                yield StoredFile(name=f"{inside}{entry}", size=size, modified=status.st_mtime)

    def _entries(self, at: str, depth: int, problems: Problems) -> Iterator[tuple[str, os.stat_result]]:
        """Yield name and status of each entry of a folder."""
        if depth > _DEEPEST:
            problems.add(self.shown(at), f"more than {_DEEPEST} folders deep")
            return
        try:
            with self._beneath(at, os.O_DIRECTORY) as opened, os.scandir(opened) as entries:
                for entry in entries:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError as error:
                        _note(problems, self.shown(f"{at}/{entry.name}" if at else entry.name), error)
                        continue
                    yield entry.name, status
        except OSError as error:
            _note(problems, self.shown(at), error)

    @contextmanager
    def _beneath(self, path: str, flags: int) -> Iterator[int]:
        """Open what is at `path` below the root, never through a link; closed in the end."""
        opened = os.dup(self._opened)
        try:
            *folders, last = path.split("/") if path else ["."]
            for name, how in (*((folder, os.O_DIRECTORY) for folder in folders), (last, flags)):
                inner = os.open(name, _READ | os.O_NOFOLLOW | how, dir_fd=opened)
                os.close(opened)
                opened = inner
            yield opened
        finally:
            os.close(opened)


def _note(problems: Problems, path: str, error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # then somebody deleted it, which is no problem
        problems.add(path, error.strerror or type(error).__name__)


_: type[UploadStore] = _Folder
