"""Reading `.zip` and `.jar`, member by member.

Python's zipfile parses the central directory and decompresses.  It is told nothing about safety: the directory's size
is checked before it is read into memory, local headers are compared with it, and members must not overlap (a "better
zip bomb" lets a thousand entries share the same bytes).
"""

import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from typing import IO, Final

from resolver.members import FileMember, FolderMember, Member, SymbolicLink, safe_name, sane_time
from resolver.settings import ArchiveLimits
from staging_protocol.errors import BadArchive

_LOCAL: Final = struct.Struct("<4s5H3L2H")
"""Local file header (APPNOTE.TXT 4.3.7)."""

_END: Final = struct.Struct("<4s4H2LH")
"""End of central directory (4.3.16); its size without the comment."""

_MAX_COMMENT: Final = 65535
_ENCRYPTED: Final = 0x1
_UNIX: Final = 3
_ENTRY_SIZE: Final = 46
"""Bytes of a directory entry without its name (4.3.12)."""

_MAX_LINK: Final = 4096
_DAMAGE: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError, struct.error,
    OverflowError,
)  # fmt: skip
"""What zipfile and the decompressors raise on damaged, encrypted or unknown input."""


def read_zip(file: IO[bytes], *, limits: ArchiveLimits) -> Iterator[Member]:
    """Yield the members in the order of their bytes.

    Raises:
        BadArchive: it is damaged, encrypted, ambiguous, or has a member that is neither file, folder nor link.
    """
    try:
        _check_directory(file, limits=limits)
        with zipfile.ZipFile(file) as archive:
            entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
            _check_entries(file, entries, end=archive.start_dir)
            for entry in entries:
                if (member := _member(archive, entry)) is not None:
                    yield member
    except _DAMAGE as error:
        msg = f"it cannot be read: {error}"
        raise BadArchive(msg) from error


def _check_directory(file: IO[bytes], *, limits: ArchiveLimits) -> None:
    """Refuse a directory that would fill the memory; one of zip64 size (0xFFFFFFFF) is refused by this too."""
    size = file.seek(0, 2)
    start = file.seek(max(0, size - _END.size - _MAX_COMMENT))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        msg = "it has no central directory: it is no zip, or was cut"
        raise BadArchive(msg)
    *_, directory_size, _offset, comment = _END.unpack_from(tail, at)
    if start + at + _END.size + comment != size:
        msg = "something follows the end of the archive"
        raise BadArchive(msg)
    if directory_size > limits.entries * (_ENTRY_SIZE + 256):
        msg = f"its directory has {directory_size} bytes"
        raise BadArchive(msg)


def _check_entries(file: IO[bytes], entries: list[zipfile.ZipInfo], *, end: int) -> None:
    free_from = 0
    for entry in entries:
        file.seek(entry.header_offset)
        header = file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or header[:4] != b"PK\x03\x04":
            msg = f"{entry.filename[:200]!r} has no local header"
            raise BadArchive(msg)
        fields = _LOCAL.unpack(header)
        flags, method, name_size, extra_size = fields[2], fields[3], fields[9], fields[10]
        if (flags | entry.flag_bits) & _ENCRYPTED:
            msg = f"{entry.filename[:200]!r} is encrypted"
            raise BadArchive(msg)
        if method != entry.compress_type or _decoded(file.read(name_size), flags) != entry.orig_filename:
            msg = f"{entry.filename[:200]!r} is described in two different ways"
            raise BadArchive(msg)
        if entry.header_offset < free_from:
            msg = f"{entry.filename[:200]!r} overlaps another member"
            raise BadArchive(msg)
        free_from = entry.header_offset + _LOCAL.size + name_size + extra_size + entry.compress_size
    if free_from > end:
        msg = "members overlap the directory"
        raise BadArchive(msg)


def _decoded(name: bytes, flags: int) -> str:
    return name.decode("utf-8" if flags & 0x800 else "cp437")  # APPNOTE.TXT, appendix D


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Member | None:
    # zipfile cuts a name at NUL; the uncut one is checked.
    name = safe_name(entry.orig_filename)
    if name is None:
        return None
    mode = entry.external_attr >> 16 if entry.create_system == _UNIX else 0
    if entry.is_dir():
        return FolderMember(name=name)
    if stat.S_ISLNK(mode):
        return SymbolicLink(name=name, target=_link_target(archive, entry))
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        msg = f"{name[:200]!r} is neither file, folder nor link"
        raise BadArchive(msg)
    return FileMember(
        name=name, size=entry.file_size, is_executable=bool(mode & 0o111), changed=_changed(entry),
        chunks=partial(_chunks, archive, entry),
    )  # fmt: skip


def _link_target(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    if entry.file_size > _MAX_LINK:
        msg = f"{entry.filename[:200]!r} is a link of {entry.file_size} bytes"
        raise BadArchive(msg)
    return archive.read(entry).decode()


def _changed(entry: zipfile.ZipInfo) -> float:
    try:
        # Zip has local time without a zone; like other tools, we read it in ours.
        return sane_time(time.mktime((*entry.date_time, 0, 0, -1)))
    except (ValueError, OverflowError):
        return 0.0


def _chunks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, size: int) -> Iterator[bytes]:
    try:
        with archive.open(entry) as content:
            while chunk := content.read(size):
                yield chunk
    except _DAMAGE as error:
        msg = f"{entry.filename[:200]!r} cannot be read: {error}"
        raise BadArchive(msg) from error
