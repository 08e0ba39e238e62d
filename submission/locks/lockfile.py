"""`deps.lock.json`: what each dependency of a job was when it was locked, to the byte.

A lock is a manifest with more words: `resolve` takes it as one.  Entries are sorted and one field stands on a line, so
that a change of one dependency is a change of few lines.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.filenames import FileName
from staging_protocol.manifest import MANIFEST_VERSION, Kind, ManifestEntry
from staging_protocol.uris import DependencyUri
from staging_protocol.wire import decode, encode
from submission.classify import Dependency

LOCK_VERSION: Final = 1

Key = tuple[Kind, str]
"""What tells the entries of a lock apart: kind and URI."""


class Locked(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One dependency, as it was locked or as it is now.

    Attributes:
        uri: of one file, without a fragment.
        kind: what it is to Spark.
        target: its name in the pod.
        named: the glob, the folder or the URI with a fragment that named it, where that is not `uri`.
        size: bytes.
        digest: of the bytes; in a lock it is always there.
        version: of its source: an entity tag, a generation, a time.
        weak: whether other bytes may have the same version.
    """

    uri: str
    kind: Kind
    target: FileName
    named: str | None = None
    size: Annotated[int, Meta(ge=0)] | None = None
    digest: Digest | None = None
    version: str | None = None
    weak: bool = False

    @property
    def key(self) -> Key:
        """What tells it from other entries."""
        return self.kind, self.uri

    @property
    def by(self) -> Key:
        """What named it."""
        return self.kind, self.named or self.uri

    @property
    def entry(self) -> ManifestEntry:
        """The same as a manifest has it."""
        return ManifestEntry(uri=self.uri, kind=self.kind, target=self.target, digest=self.digest, size=self.size)

    def dependency(self, *, by: str) -> Dependency:
        """Return it as a dependency of its own; `by` says who names it."""
        uri = DependencyUri.parse(self.uri)
        uri = uri if uri.name == self.target else replace(uri, fragment=self.target)
        return Dependency(kind=self.kind, uri=uri, named_by=by)

    def __str__(self) -> str:
        """Return the URI without secrets."""
        return str(DependencyUri.parse(self.uri))


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file; `version` is that of a manifest."""

    lock_version: int
    version: int = MANIFEST_VERSION
    entries: tuple[Locked, ...]

    @classmethod
    def of(cls, entries: Iterable[Locked]) -> "Lock":
        """Return the lock of `entries`, sorted."""
        return cls(lock_version=LOCK_VERSION, entries=tuple(sorted(entries, key=lambda one: one.key)))

    @property
    def by_key(self) -> dict[Key, Locked]:
        """The entries by kind and URI."""
        return {one.key: one for one in self.entries}

    def dependencies(self, *, by: str) -> list[Dependency]:
        """Return what has to be named to get these entries, each once; `by` says who names it."""
        named = dict.fromkeys(one.by for one in self.entries)
        return [Dependency(kind=kind, uri=DependencyUri.parse(text), named_by=by) for kind, text in named]


def lock_bytes(lock: Lock) -> bytes:
    """Return the file; the same lock gives the same bytes."""
    return msgspec.json.format(encode(lock), indent=2) + b"\n"


def read_lock(path: Path) -> Lock:
    """Read a lock.

    Raises:
        NotFound: there is none.
        InvalidRequest: it cannot be read, or is none that this version knows.
    """
    try:
        return parse_lock(path.read_bytes(), name=str(path))
    except FileNotFoundError as error:
        msg = f"{path} does not exist; `spark-staging lock` writes it"
        raise NotFound(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error


def parse_lock(data: bytes, *, name: str) -> Lock:
    """Read the bytes of a lock; `name` is for messages.

    Raises:
        InvalidRequest: they are none that this version knows.
    """
    try:
        lock = decode(data, into=Lock)
        for one in lock.entries:
            for text in filter(None, (one.uri, one.named)):
                DependencyUri.parse(text)
    except InvalidRequest as error:
        msg = f"{name} is no lock: {error.detail}"
        raise InvalidRequest(msg) from error
    if (lock.lock_version, lock.version) != (LOCK_VERSION, MANIFEST_VERSION):
        msg = f"{name} has version {lock.lock_version} of locks; this program knows version {LOCK_VERSION}"
        raise InvalidRequest(msg)
    without = next((one for one in lock.entries if one.digest is None), None)
    if without is not None:
        msg = f"{name} has no digest for {without}; lock it again"
        raise InvalidRequest(msg)
    if len(lock.by_key) != len(lock.entries):
        msg = f"{name} has the same dependency twice; lock it again"
        raise InvalidRequest(msg)
    return lock


def write_lock(path: Path, lock: Lock) -> None:
    """Write a lock; a file that was there is replaced when the new one is whole.

    Raises:
        InvalidRequest: it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(lock_bytes(lock))
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        msg = f"{path} cannot be written: {error.strerror}"
        raise InvalidRequest(msg) from error
