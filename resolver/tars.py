"""Reading `.tar`, `.tar.gz`, `.tar.bz2` and `.tar.xz`, member by member, in flat memory.

Python's tarfile parses the headers.  Extended headers (long names, PAX) are read into memory as a whole, those for the
whole archive are kept, and a chain of them is read by recursion: so their size and number are checked before.  A header
of negative size would make tarfile run in circles (CVE-2025-8194), so it is refused.
"""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from functools import partial
from typing import IO, ClassVar, Final, Self

from resolver.members import FileMember, FolderMember, HardLink, Member, SymbolicLink, safe_name, sane_time
from resolver.settings import ArchiveLimits
from staging_protocol.errors import BadArchive

_MAX_HEADER: Final = 64 * 1024
"""Bytes of one extended header, and of all that are for the whole archive; real ones have some hundred.  A larger one
can keep Python before 3.11.10 and 3.12.6 busy for an hour (CVE-2024-6232)."""

_MAX_IN_A_ROW: Final = 16
"""Extended headers of one member; real ones have four at most (PAX for all and for one, long name, long link)."""

_PADDING_READ: Final = 1024 * 1024

_MAX_PADDING: Final = 64 * 1024 * 1024
"""Bytes of zeros behind the end mark; tar pads to 10 KiB, tapes to more."""

_EXTENDED: Final = frozenset(
    {
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
    }
)
_KNOWN: Final = _EXTENDED | {
    tarfile.REGTYPE,
    tarfile.AREGTYPE,
    tarfile.CONTTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
}
_DAMAGE: Final = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError, OverflowError)
"""What tarfile and the decompressors raise on damaged input (gzip and bz2: OSError)."""


class _CheckedHeader(tarfile.TarInfo):
    """A header of one archive: each archive has a class of its own, which counts."""

    in_a_row: ClassVar[int] = 0
    for_all: ClassVar[int] = 0

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        # tarfile takes a header that is missing, cut or damaged for the end of the archive.
        if len(buf) != tarfile.BLOCKSIZE:
            msg = "it ends without an end mark: it was cut"
            raise BadArchive(msg)
        if not any(buf):
            return super().frombuf(buf, encoding, errors)  # the end mark
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            msg = f"a header is damaged: {error}"
            raise BadArchive(msg) from error
        if header.type not in _KNOWN:
            msg = f"{header.name[:200]!r} is neither file, folder nor link (type {header.type!r})"
            raise BadArchive(msg)
        if header.size < 0 or (header.type in _EXTENDED and header.size > _MAX_HEADER):
            msg = f"{header.name[:200]!r} has a header of {header.size} bytes"
            raise BadArchive(msg)
        cls._count(header)
        return header

    @classmethod
    def _count(cls, header: tarfile.TarInfo) -> None:
        cls.in_a_row = cls.in_a_row + 1 if header.type in _EXTENDED else 0
        cls.for_all += header.size if header.type == tarfile.XGLTYPE else 0
        if cls.in_a_row > _MAX_IN_A_ROW or cls.for_all > _MAX_HEADER:
            msg = "it has too many extended headers"
            raise BadArchive(msg)


def read_tar(file: IO[bytes], *, limits: ArchiveLimits) -> Iterator[Member]:
    """Yield the members; the bytes of a file have to be read before the next one is asked for.

    Raises:
        BadArchive: it is damaged, or has a member that is neither file, folder nor link.
    """
    del limits  # counted member by member
    try:
        with (
            _decompressed(file) as raw,
            tarfile.open(
                fileobj=raw, mode="r|", tarinfo=type("Header", (_CheckedHeader,), {}), errorlevel=2
            ) as archive,
        ):
            while (header := archive.next()) is not None:
                if (member := _member(archive, header)) is not None:
                    yield member
                archive.members = []  # type: ignore[attr-defined] # undocumented; else it keeps every header
            _check_rest(raw)
    except _DAMAGE as error:
        msg = f"it cannot be read: {error}"
        raise BadArchive(msg) from error


def _check_rest(raw: IO[bytes]) -> None:
    """Read to the end, where compressed formats have their checksum; only padding may follow the end mark."""
    for _ in range(_MAX_PADDING // _PADDING_READ):
        rest = raw.read(_PADDING_READ)
        if not rest:
            return
        if rest.strip(b"\0"):
            break
    msg = "something follows its end mark"
    raise BadArchive(msg)


def _decompressed(file: IO[bytes]) -> IO[bytes]:
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if start.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if start == b"\xfd7zXZ\0":
        return lzma.LZMAFile(file)
    return file


def _member(archive: tarfile.TarFile, header: tarfile.TarInfo) -> Member | None:
    name = safe_name(header.name)
    if name is None and header.isdir():
        return None
    if name is None:
        msg = f"{header.name[:200]!r} is not a name"
        raise BadArchive(msg)
    if header.isdir():
        return FolderMember(name=name)
    if header.issym():
        return SymbolicLink(name=name, target=header.linkname)
    if header.islnk():
        return HardLink(name=name, target=safe_name(header.linkname) or "")
    if header.sparse is not None or not header.isreg():
        msg = f"{name[:200]!r} is a sparse or special file"
        raise BadArchive(msg)
    return FileMember(
        name=name, size=header.size, is_executable=bool(header.mode & 0o111), changed=sane_time(header.mtime),
        chunks=partial(_chunks, archive, header),
    )  # fmt: skip


def _chunks(archive: tarfile.TarFile, header: tarfile.TarInfo, size: int) -> Iterator[bytes]:
    content = archive.extractfile(header)
    if content is None:
        msg = f"{header.name[:200]!r} has no content"
        raise BadArchive(msg)
    left = header.size
    try:
        while left > 0 and (chunk := content.read(min(size, left))):
            left -= len(chunk)
            yield chunk
    except _DAMAGE as error:
        msg = f"{header.name[:200]!r} cannot be read: {error}"
        raise BadArchive(msg) from error
    if left:
        msg = f"{header.name[:200]!r} is cut: {left} bytes are missing"
        raise BadArchive(msg)
