"""Digests of local files: several at a time, from the cache where a file is as it was."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch, InvalidRequest, Terminated
from submission import parallel
from submission.digest_cache import DigestCache
from submission.local_files import FileVersion, LocalFile
from submission.progress import Progress

BUFFER: Final = 1024 * 1024
"""Bytes; hashlib releases the lock of the interpreter, and larger buffers are not faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedFile:
    """A local file, the version that was read, and the digest of what was read."""

    file: LocalFile
    version: FileVersion
    digest: Digest


def hashed(
    files: Sequence[LocalFile], *, cache: DigestCache | None, progress: Progress, stop: threading.Event
) -> tuple[HashedFile, ...]:
    """Return the digests of `files`, in their order; the same file is read once.

    Raises:
        DigestMismatch: a file is being written while it is read, twice in a row.
        InvalidRequest: a file cannot be read.
    """
    versions = {file.version: file for file in files}
    known = cache.known(versions) if cache is not None else {}
    unknown = [file for version, file in versions.items() if version not in known]
    progress.phase("hash", size=sum(file.version.size for file in unknown))
    computed = parallel.each(
        unknown, lambda file: _hashed(file, progress=progress, stop=stop), at_once=os.cpu_count() or 1, stop=stop
    )
    if cache is not None:
        cache.remember({one.version: one.digest for one in computed})
    return tuple(_joined(file, known=known, computed={one.file.version: one for one in computed}) for file in files)


def _joined(
    file: LocalFile, *, known: Mapping[FileVersion, Digest], computed: Mapping[FileVersion, HashedFile]
) -> HashedFile:
    if file.version in known:
        return HashedFile(file=file, version=file.version, digest=known[file.version])
    one = computed[file.version]
    return HashedFile(file=file, version=one.version, digest=one.digest)


def _hashed(file: LocalFile, *, progress: Progress, stop: threading.Event) -> HashedFile:
    for _ in range(2):
        version, digest = _read(file.path, advance=progress.advance, stop=stop)
        if digest is not None:
            return HashedFile(file=file, version=version, digest=digest)
    msg = f"{file.dependency} changes while it is read; stage it when nothing writes it any more"
    raise DigestMismatch(msg)


def _read(path: Path, *, advance: Callable[[int], None], stop: threading.Event) -> tuple[FileVersion, Digest | None]:
    """Return the version and digest of `path`; no digest when it was written meanwhile."""
    checksum = sha256()
    buffer = bytearray(BUFFER)
    view = memoryview(buffer)
    try:
        with path.open("rb", buffering=0) as source:
            before = FileVersion.of(os.fstat(source.fileno()))
            while read := source.readinto(buffer):
                checksum.update(view[:read])
                advance(read)
                if stop.is_set():
                    raise Terminated("hashing was interrupted")
            after = FileVersion.of(os.fstat(source.fileno()))
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error
    return after, Digest.of_hash(checksum.digest()) if before == after else None
