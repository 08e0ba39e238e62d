"""What dependencies are at this moment, in the words of a lock: `lock` keeps it, `verify` and `diff` compare it.

How much is read for that is the caller's choice (`Digests`).  A digest costs nothing where the source states it, or
where an earlier lock has one for the same strong version.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

import msgspec

from resolver.retry import Attempts, Clock
from resolver.settings import RetrySettings
from resolver.sources.base import Stat
from resolver.sources.choose import Sources
from staging_protocol.digests import Digest
from staging_protocol.errors import StagingError
from staging_protocol.manifest import Kind
from staging_protocol.uris import Locality
from submission import parallel
from submission.classify import Dependency
from submission.locks.lockfile import Key, Lock, Locked
from submission.locks.remote_digests import digest_of
from submission.progress.telling import FileProgress, Progress
from submission.readiness.checking import Checked, Checker
from submission.readiness.outside import outside_of
from submission.settings import Settings
from submission.staging.digest_cache import DigestCache
from submission.staging.hashing import hashed
from submission.staging.local_files import looked_at

_AT_ONCE: Final = 8
"""Dependencies that are read at the same time."""

_RETRY: Final = RetrySettings(attempts=6)
"""Some 15 s without a byte; a person waits."""


class Digests(Enum):
    """Which digests of remote dependencies are found out; those of local files always are."""

    STATED = "those that cost nothing"
    MISSING = "the others by reading the bytes"
    ALL = "all by reading the bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What is there, what was named but cannot be had, and what was read to find that out."""

    entries: tuple[Locked, ...]
    problems: tuple[Checked, ...]
    read: int
    bytes_read: int


def present(
    dependencies: Sequence[Dependency], *, digests: Digests, old: Lock | None, settings: Settings, progress: Progress
) -> Present:
    """Look at everything that `dependencies` name; `old` is a lock whose digests may be used again."""
    stop = threading.Event()
    wanted = [one for one in dependencies if one.locality is not Locality.CONTAINER_LOCAL]
    with outside_of(settings) as outside:
        sources = Sources(outside)
        checked = _each_once(Checker(sources, stop=stop).check(wanted))
        good = [one for one in checked if one.error is None]
        local = _local_entries(good, settings=settings, progress=progress, stop=stop)
        reading = _Reading(sources=sources, progress=progress, stop=stop)
        before = {} if old is None else old.by_key
        remote = [_remote_entry(one, before) for one in good if one.dependency.locality is Locality.REMOTE]
        remote = reading.completed(remote, digests)
    found = [*local, *remote]
    return Present(
        entries=Lock.of(entry for one, entry in found if one.error is None).entries,
        problems=tuple(one for one in (*checked, *(one for one, _ in remote)) if one.error is not None),
        read=reading.files,
        bytes_read=reading.bytes,
    )


def stated_digest(stat: Stat) -> Digest | None:
    """Return the SHA-256 that a source states, in whichever way."""
    for checksum in stat.checksums:
        if checksum.algorithm == "sha256" and not checksum.parts:
            return stat.digest or Digest.of_hash(checksum.value)
    return stat.digest


def _each_once(checked: Iterable[Checked]) -> list[Checked]:
    """Keep the first of several that are the same file, as `classify` does."""
    first: dict[tuple[Kind, str], Checked] = {}
    for one in checked:
        first.setdefault((one.dependency.kind, one.dependency.uri.without_fragment), one)
    return list(first.values())


Found = tuple[Checked, Locked]


def _local_entries(
    checked: Iterable[Checked], *, settings: Settings, progress: Progress, stop: threading.Event
) -> list[Found]:
    local = {one.dependency: one for one in checked if one.dependency.locality is Locality.SUBMITTER_LOCAL}
    files = [looked_at(dependency) for dependency in local]
    done = hashed(files, cache=DigestCache(settings.cache_folder), progress=progress, stop=stop)
    return [
        (one := local[file.file.dependency], _entry(one, Stat(size=file.version.size, digest=file.digest)))
        for file in done
    ]


def _remote_entry(one: Checked, before: Mapping[Key, Locked]) -> Found:
    """Return what is known without reading, with the digest of the same strong version that was locked."""
    entry = _entry(one, one.stat)
    old = before.get(entry.key)
    if entry.digest is not None or old is None or entry.version is None:
        return one, entry
    is_same = not entry.weak and (old.version, old.weak, old.size) == (entry.version, False, entry.size)
    return one, msgspec.structs.replace(entry, digest=old.digest) if is_same else entry


@dataclass(slots=True, kw_only=True)
class _Reading:
    """Reads bytes where digests are wanted, and counts them."""

    sources: Sources
    progress: Progress
    stop: threading.Event
    files: int = 0
    bytes: int = 0

    def completed(self, found: Sequence[Found], digests: Digests) -> list[Found]:
        """Return the entries with the digests that are wanted; an error takes the place of none."""
        todo = [
            pair for pair in found if digests is Digests.ALL or (digests is Digests.MISSING and pair[1].digest is None)
        ]
        self.progress.phase("download", size=sum(entry.size or 0 for _, entry in todo), files=len(todo))
        read = parallel.each(todo, self._read, at_once=_AT_ONCE, stop=self.stop)
        self.files, self.bytes = len(read), sum(entry.size or 0 for _, entry in read)
        done = {entry.key: (one, entry) for one, entry in read}
        return [done.get(entry.key, (one, entry)) for one, entry in found]

    def _read(self, pair: Found) -> Found:
        one, entry = pair
        uri = one.dependency.uri
        try:
            with FileProgress(self.progress, entry.target, size=entry.size or 0) as shown:
                read = digest_of(
                    uri,
                    source=self.sources.source_of(uri),
                    reached=shown.reached,
                    attempts=Attempts(str(uri), _RETRY, Clock(float("inf")), self._retrying),
                    stop=self.stop,
                )
        except StagingError as error:
            return replace(one, error=error), entry
        return one, msgspec.structs.replace(_entry(one, read.stat), digest=read.digest)

    def _retrying(self, uri: str, error: StagingError, seconds: float) -> None:
        self.progress.notice(f"{uri}: {error.detail}; trying again in {seconds:.1f} s")


def _entry(one: Checked, stat: Stat) -> Locked:
    uri, named, version = one.dependency.uri.without_fragment, one.named.uri.text, stat.version
    return Locked(
        uri=uri,
        kind=one.dependency.kind,
        target=one.dependency.target,
        named=None if named == uri else named,
        size=stat.size,
        digest=stated_digest(stat),
        version=None if version is None else version.text,
        weak=version is not None and not version.strong,
    )
