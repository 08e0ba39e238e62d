"""Manifests on disk: a manifest as the server gives it, or a lock, which is one with more words."""

from pathlib import Path

import msgspec

from staging_protocol.errors import InvalidRequest, NotFound
from staging_protocol.manifest import Manifest, ManifestEntry
from staging_protocol.uris import DependencyUri, Locality
from staging_protocol.wire import decode
from submission.classify import Dependency


class ManifestFile(Manifest, frozen=True, kw_only=True):
    """A manifest; only a lock has a `lock_version`."""

    lock_version: int | None = None

    def dependencies(self, *, by: str) -> list[Dependency]:
        """Return what it names; `by` says who."""
        return [Dependency(kind=one.kind, uri=DependencyUri.parse(one.uri), named_by=by) for one in self.entries]

    def local_files(self) -> tuple[ManifestEntry, ...]:
        """Return the entries that are files of the submitter, which only a lock may have."""
        if self.lock_version is None:
            return ()
        return tuple(one for one in self.entries if DependencyUri.parse(one.uri).locality is Locality.SUBMITTER_LOCAL)

    def without(self, entries: tuple[ManifestEntry, ...]) -> Manifest:
        """Return the manifest without these."""
        return msgspec.structs.replace(self, entries=tuple(one for one in self.entries if one not in entries))


def read_manifest(path: Path) -> ManifestFile:
    """Read a manifest or a lock.

    Raises:
        NotFound: there is none.
        InvalidRequest: it cannot be read.
    """
    try:
        return decode(path.read_bytes(), into=ManifestFile)
    except FileNotFoundError as error:
        msg = f"{path} does not exist; a bundle is written bundle:ID"
        raise NotFound(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error
