"""What is in its place already: whether a file on the disk is the one that would come.

A manifest's digest proves it alone.  Without one, the record of an earlier run has the checksum of the file and the
strong version of the source; the source is asked for its version (one request), and the file is read.
"""

from pathlib import Path

import msgspec

from resolver.checksums import Check, InOrder, Sums
from resolver.plan import Download
from resolver.records import Record
from resolver.run import Run
from resolver.sources.base import Source
from staging_io.files import read_all, regular_size
from staging_protocol.errors import DigestMismatch


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A dependency that is in its place: what was computed of it, and its size in bytes before any unpacking."""

    sums: Sums
    size: int


def held(download: Download, *, source: Source, run: Run) -> Held | None:
    """Return what is in its place, if it is right and whole; None when it has to come."""
    record = run.records_of(download.folder).of(download.target) if download.needs_record else None
    if download.is_unpacked:
        is_there = record is not None and Path(download.path).is_dir() and _is_current(record, download, source)
        return Held(sums=Sums(digest=record.digest), size=record.size or 0) if record is not None and is_there else None
    if record is None and download.digest is None:
        return None  # whatever is there, nobody knows whether it is right
    size = regular_size(download.path)
    if size is None or download.size not in {None, size}:
        return None
    check = _check(download, record, size=size, digests=run.settings.digests)
    if check is None or (record is not None and not _is_current(record, download, source)):
        return None
    return _checked(download.path, check, size=size, run=run)


def _check(download: Download, record: Record | None, *, size: int, digests: bool) -> Check | None:
    """Return what the bytes on the disk have to be; None when nobody knows."""
    if download.digest is not None:
        return Check(digest=True, expected=download.digest)
    if record is None or record.size != size or (record.digest is None and record.checksum is None):
        return None
    if record.checksum is not None and not (digests and record.digest is not None):
        return Check(digest=digests, checksum=record.checksum)
    return Check(digest=True, expected=record.digest)


def _is_current(record: Record, download: Download, source: Source) -> bool:
    if download.digest is not None:
        return record.digest == download.digest
    if record.version is None or not record.version.strong:
        return False
    return source.stat(download.uri).version == record.version


def _checked(path: str, check: Check, *, size: int, run: Run) -> Held | None:
    sums = InOrder(check)
    for data in read_all(path):
        sums.update(data)
        run.clock.check()
    try:
        check.verify(sums.result(), name=path)
    except DigestMismatch:
        return None
    return Held(sums=sums.result(), size=size)
