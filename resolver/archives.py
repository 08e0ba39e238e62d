"""Unpacking an archive that somebody else made, into a folder of our own.

Readers (`tars`, `zips`) turn a format into members; rules (`members`) say which members are safe; this module writes
them.  It never uses the formats' own extraction.  Files and folders come first, each made new inside folders that we
made, so no name can lead through a link.  Links come last, when all of them are known to stay inside.

What is kept: content, the executable bit, and the time of change (Python checks its compiled files by it).  What is
not: owners, other modes, set-uid, extended attributes.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from resolver.members import FileMember, FolderMember, HardLink, Layout, Member, SymbolicLink
from resolver.settings import ArchiveLimits
from staging_io.files import EXECUTABLE_MODE, FILE_MODE, FOLDER_MODE, of_os, translated
from staging_protocol.errors import BadArchive

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
"""How a zip (and a jar) begins: with its first member, or, when it is empty, with its end."""

_COMPRESSED: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
"""How gzip, bzip2 and xz begin."""

_HEADER: Final = 512
_TAR_MAGIC: Final = slice(257, 262)
"""Where POSIX and GNU tar write `ustar`."""

_COPY_SIZE: Final = 256 * 1024
_COLLISIONS: Final = frozenset({errno.EEXIST, errno.ENOTDIR, errno.EISDIR})


def unpack(archive: Path, folder: Path, *, limits: ArchiveLimits, durable: bool, check: Callable[[], None]) -> None:
    """Unpack the file `archive` into the empty `folder`; its format follows from its first bytes.

    Its name would not tell: a staged archive has the name of its target, `env` for `env.tar.gz#env`.
    `check` is called often and may raise to end it.  What was written until an error is left for the caller to remove.

    Raises:
        BadArchive: the archive is damaged, unsafe, or larger than the limits.
        NoSpace: the volume is full.
    """
    layout = Layout(limits, packed_size=archive.stat().st_size)
    with _reader(archive, limits=limits) as members:
        for member in members:
            check()
            layout.add(member)
            _write(member, folder, layout=layout, durable=durable, check=check)
    for link in layout.checked_links():
        with _collisions(link.name, folder):
            (folder / link.name).symlink_to(link.target)


@contextmanager
def _reader(archive: Path, *, limits: ArchiveLimits) -> Iterator[Iterator[Member]]:
    with archive.open("rb") as file:
        start = file.read(_HEADER)
        file.seek(0)
        if start.startswith(_ZIP):
            from resolver.zips import read_zip as read
        elif start.startswith(_COMPRESSED) or _is_tar(start):
            from resolver.tars import read_tar as read
        else:
            msg = "it has none of the formats that can be unpacked: .tar, .tar.gz, .tar.bz2, .tar.xz, .zip, .jar"
            raise BadArchive(msg)
        yield read(file, limits=limits)


def _is_tar(start: bytes) -> bool:
    return start[_TAR_MAGIC] == b"ustar" or start == bytes(_HEADER)  # an empty one has its end mark only


def _write(member: Member, folder: Path, *, layout: Layout, durable: bool, check: Callable[[], None]) -> None:
    for parent in layout.new_folders(member):
        with _collisions(parent, folder):
            (folder / parent).mkdir()
            (folder / parent).chmod(FOLDER_MODE)
    match member:
        case FileMember():
            _write_file(member, folder, layout=layout, durable=durable, check=check)
        case HardLink():
            with _collisions(member.name, folder):
                (folder / member.name).hardlink_to(folder / member.target)
        case FolderMember() | SymbolicLink():
            pass  # folders were made above, links are made at the end


def _write_file(member: FileMember, folder: Path, *, layout: Layout, durable: bool, check: Callable[[], None]) -> None:
    path = folder / member.name
    with _collisions(member.name, folder):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    with open(fd, "wb", buffering=0) as file:  # noqa: PTH123 - it is open already
        for chunk in member.chunks(_COPY_SIZE):
            layout.count(len(chunk), member)
            check()
            with translated(path):
                file.write(chunk)
        with translated(path):
            os.fchmod(fd, EXECUTABLE_MODE if member.is_executable else FILE_MODE)
            os.utime(fd, (member.changed, member.changed))
            if durable:
                os.fsync(fd)


@contextmanager
def _collisions(name: str, folder: Path) -> Iterator[None]:
    """What the layout takes for new, and the file system for there already, is the same name to that file system."""
    try:
        yield
    except OSError as error:
        if error.errno in _COLLISIONS:
            msg = f"{name!r} is the same as another name of the archive to this file system (letter case?)"
            raise BadArchive(msg) from error
        raise of_os(error, folder / name) from error
