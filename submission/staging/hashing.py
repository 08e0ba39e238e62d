"""Digests of local files: several at a time, from the cache where a file is as it was."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from staging_protocol.digests import Digest
from staging_protocol.errors import DigestMismatch, InvalidRequest, Terminated
from submission import parallel
from submission.progress.telling import FileProgress, Progress
from submission.staging.digest_cache import DigestCache
from submission.staging.local_files import FileVersion, LocalFile

_BUFFER: Final = 1024 * 1024
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
    progress.phase("hash", size=sum(file.version.size for file in unknown), files=len(unknown))
    computed = parallel.each(
        unknown, lambda file: _hashed(file, progress=progress, stop=stop), at_once=os.cpu_count() or 1, stop=stop
    )
    if cache is not None:
        cache.remember({one.version: one.digest for one in computed})
    return _joined(files, known=known, computed=computed)


def _joined(
    files: Sequence[LocalFile], *, known: Mapping[FileVersion, Digest], computed: Sequence[HashedFile]
) -> tuple[HashedFile, ...]:
    """Return each file with the version and digest that the cache had or that were computed."""
    found = {version: (version, digest) for version, digest in known.items()}
    found.update((one.file.version, (one.version, one.digest)) for one in computed)
    joined = []
    for file in files:
        version, digest = found[file.version]
        joined.append(HashedFile(file=file, version=version, digest=digest))
    return tuple(joined)


def _hashed(file: LocalFile, *, progress: Progress, stop: threading.Event) -> HashedFile:
    for _ in range(2):
        with FileProgress(progress, file.dependency.target, size=file.version.size) as shown:
            version, digest = _read(file, reached=shown.reached, stop=stop)
        if digest is not None:
            return HashedFile(file=file, version=version, digest=digest)
    msg = f"{file.dependency} changes while it is read; stage it when nothing writes it any more"
    raise DigestMismatch(msg)


def _read(
    file: LocalFile, *, reached: Callable[[int], None], stop: threading.Event
) -> tuple[FileVersion, Digest | None]:
    """Return the version and digest of `file`; no digest when it was written meanwhile."""
    checksum = sha256()
    view = memoryview(bytearray(min(_BUFFER, max(1, file.version.size))))
    try:
        descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            before, position = FileVersion.of(os.fstat(descriptor)), 0
            while read := os.readv(descriptor, [view]):
                checksum.update(view[:read])
                position += read
                reached(position)
                if stop.is_set():
                    raise Terminated("hashing was interrupted")
            after = FileVersion.of(os.fstat(descriptor))
        finally:
            os.close(descriptor)
    except OSError as error:
        msg = f"{file.path} cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error
    return after, Digest.of_hash(checksum.digest()) if before == after else None
