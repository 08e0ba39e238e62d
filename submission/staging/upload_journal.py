"""Uploads that have begun, remembered between runs: one small file each, below the cache folder.

    <cache folder>/uploads/<32 hex of server, namespace, digest and size>.json

An entry holds what is needed to go on: the id of the upload at the server, and the path it was read from.  It holds no
token.  The file is private, appears whole, and is locked while a run uses it, so that two runs on one machine do not
fight over one upload: the second one begins an upload of its own.

The journal is a convenience.  Without it (a read-only or full cache folder, a file system without locks) everything
is staged as well, and only an interrupted upload begins anew.  Nothing is flushed to the disk for it: the server is
asked how far an upload is.
"""

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest
from staging_protocol.uploads import UploadId
from staging_protocol.wire import decode, encode

_MAX_AGE: Final = 7 * 86400
"""Seconds for which an entry is kept when the server does not say how long it keeps an idle upload."""

_MAX_ENTRY: Final = 16 * 1024
"""Bytes; a path has at most 4 KiB."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One upload that has begun; `limits` are those of the server (`Upload-Limit`)."""

    server: str
    namespace: str
    digest: Digest
    size: int
    path: str
    upload: UploadId
    limits: dict[str, int]

    @property
    def max_age(self) -> int:
        """Seconds after which the server has forgotten an idle upload."""
        return self.limits.get("max-age", _MAX_AGE)


class UploadJournal:
    """The entries of one server and one namespace."""

    def __init__(self, folder: Path, *, server: str, namespace: str, notice: Callable[[str], None]) -> None:
        """Keep entries below `folder`; `notice` is told once when that is not possible."""
        parts = urlsplit(server)
        self._folder = folder / "uploads"
        self._server = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self._namespace = namespace
        self._notice: Callable[[str], None] | None = notice

    @contextmanager
    def claimed(self, digest: Digest, *, size: int, path: Path) -> Iterator["Claim"]:
        """Yield the entry for a blob, locked; an empty one when it is new, in use, or the journal cannot be used."""
        name = f"{self._server}\n{self._namespace}\n{digest}\n{size}"
        file = self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = _locked(file)
        except OSError as error:
            self.broken(error)
            descriptor = None
        entry_of = partial(
            Entry, server=self._server, namespace=self._namespace, digest=digest, size=size, path=_text(path)
        )
        claim = Claim(self, file, descriptor, entry_of=entry_of)
        try:
            yield claim
        finally:
            claim.close()

    def outdated(self, paths: Mapping[Path, Digest]) -> Iterator[UploadId]:
        """Remove entries that are of no use any more; yield uploads that are to be cancelled.

        These are uploads from one of `paths`, whose content has another digest by now.
        """
        try:
            files = sorted(self._folder.iterdir())
        except OSError:
            return  # there is no journal yet
        digests = {_text(path): digest for path, digest in paths.items()} if files else {}
        for file in files:
            with suppress(OSError):
                upload = self._removed(file, digests)
                if upload is not None:
                    yield upload

    def broken(self, error: OSError) -> None:
        """Tell, once, that interrupted uploads cannot be resumed."""
        notice, self._notice = self._notice, None
        if notice is not None:
            notice(f"{self._folder} cannot be used ({error.strerror}); an interrupted upload will begin anew")

    def _removed(self, file: Path, paths: Mapping[str, Digest]) -> UploadId | None:
        descriptor = _locked(file, create=False)
        if descriptor is None:
            return None
        try:
            entry = _read(descriptor)
            is_changed = entry is not None and self._is_changed(entry, paths)
            if entry is None or is_changed or time.time() - os.fstat(descriptor).st_mtime > entry.max_age:
                file.unlink(missing_ok=True)
            return entry.upload if entry is not None and is_changed else None
        finally:
            os.close(descriptor)

    def _is_changed(self, entry: Entry, paths: Mapping[str, Digest]) -> bool:
        ours = (entry.server, entry.namespace) == (self._server, self._namespace)
        return ours and paths.get(entry.path, entry.digest) != entry.digest


class Claim:
    """The place of one upload in the journal."""

    def __init__(
        self,
        journal: UploadJournal,
        file: Path,
        descriptor: int | None,
        *,
        entry_of: Callable[..., Entry],
    ) -> None:
        self._journal = journal
        self._file = file
        self._descriptor = descriptor
        self._entry_of = entry_of
        self.entry: Entry | None = None if descriptor is None else _read(descriptor)

    @property
    def is_kept(self) -> bool:
        """Whether the next run will find the upload."""
        return self.entry is not None

    def record(self, upload: UploadId, limits: Mapping[str, int]) -> None:
        """Remember an upload that has begun."""
        if self._descriptor is None:
            return
        entry = self._entry_of(upload=upload, limits=dict(limits))
        try:
            self._replace(encode(entry))
        except OSError as error:
            self._journal.broken(error)
        else:
            self.entry = entry

    def touch(self) -> None:
        """Note that the upload advances: the server forgets it that much later."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.utime(self._descriptor)

    def forget(self) -> None:
        """Remove the entry."""
        self.entry = None

    def close(self) -> None:
        """Let others have it; an entry that holds nothing is removed."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            if self.entry is None:
                with suppress(OSError):
                    self._file.unlink(missing_ok=True)
            os.close(descriptor)

    def _replace(self, data: bytes) -> None:
        """Put another file in the place of the entry, which is locked before anybody sees it."""
        temporary = self._file.with_suffix(".new")  # nobody else writes it: the entry is locked
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.write(descriptor, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - as the next write would
            temporary.replace(self._file)
        except OSError:
            temporary.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        assert self._descriptor is not None  # noqa: S101 - `record` looked
        os.close(self._descriptor)
        self._descriptor = descriptor


def _text(path: Path) -> str:
    """Return a path as JSON can hold it: names that are no UTF-8 are told apart by what is."""
    return os.fsencode(path.absolute()).decode(errors="replace")


def _locked(file: Path, *, create: bool = True) -> int | None:
    """Open and lock a file; None when another run uses it, or it was replaced or removed meanwhile."""
    descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0), 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), file.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _read(descriptor: int) -> Entry | None:
    """Return the entry of an open file; None when it is empty or damaged."""
    try:
        return decode(os.pread(descriptor, _MAX_ENTRY, 0), into=Entry)
    except (InvalidRequest, OSError):
        return None
