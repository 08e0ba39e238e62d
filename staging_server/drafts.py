"""Checks a create's body and computes all of it that needs no database.  Pure.

Refused here: what is larger than the limits; two dependencies with one target; remote entries that are no remote
dependencies, or that carry a secret, which must not reach the database.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache, partial
from typing import Final

from staging_protocol.api.creation import NewBundle
from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, TargetCollision, TooLarge
from staging_protocol.manifest import Kind, Manifest, ManifestEntry
from staging_protocol.owners import check_owner
from staging_protocol.uris import STAGED_SCHEME, DependencyUri, Locality
from staging_protocol.wire import encode
from staging_server.retention.policies import Policy
from staging_server.settings import LimitSettings

_WORK: Final = "work"
_KEPT: Final = 64
_SMALL: Final = 50
"""Drafts that are kept, and entries that each of them has at most: about 1 MB together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A bundle before it has an id.  `size` is in bytes, of the staged files."""

    manifest: bytes
    manifest_digest: Digest
    size: int
    time_to_live: timedelta | None


class Drafts:
    """Makes drafts, and keeps the last ones: a job that is submitted again has the body it had before."""

    def __init__(self, *, limits: LimitSettings) -> None:
        self._draft = partial(draft, limits=limits)
        self._kept = lru_cache(maxsize=_KEPT)(self._draft)

    def of(self, body: NewBundle) -> Draft:
        """Return the draft of `body`; raises as `draft` does."""
        entries = len(body.files) + len(body.remote)
        return self._kept(body) if entries <= _SMALL else self._draft(body)


def draft(body: NewBundle, *, limits: LimitSettings) -> Draft:
    """Check `body` and return what follows from it.

    Raises:
        TooLarge: too many entries, or too many bytes in one file or in all.
        InvalidRequest: an entry or the owner cannot be.
        TargetCollision: two entries would be one file in the pod.
    """
    size = _checked_size(body, limits)
    for entry in body.remote:
        _check_remote(entry)
    if body.owner is not None:
        check_owner(body.owner)
    manifest = _manifest(body)
    _check_targets(manifest.entries)
    data = encode(manifest)
    return Draft(manifest=data, manifest_digest=Digest.of(data), size=size, time_to_live=_time_to_live(body))


def check_time_to_live(draft: Draft, policy: Policy) -> None:
    """Refuse a draft that asks for more than its namespace may have; raises InvalidRequest."""
    asked, limit = draft.time_to_live, policy.max_time_to_live
    if asked is not None and asked > limit:
        msg = (
            f"a bundle may live {limit.total_seconds():.0f} seconds without activity{policy.by('max_time_to_live')}, "
            f"{asked.total_seconds():.0f} were asked for"
        )
        raise InvalidRequest(msg)


def _checked_size(body: NewBundle, limits: LimitSettings) -> int:
    count = len(body.files) + len(body.remote)
    if count > limits.files_per_bundle:
        msg = f"a bundle may have {limits.files_per_bundle} entries, this one has {count}"
        raise TooLarge(msg)
    sizes: dict[Digest, int] = {}
    for file in body.files:
        if file.size > limits.file_size:
            msg = f"a file may have {limits.file_size} bytes, {file.name} has {file.size}"
            raise TooLarge(msg)
        if sizes.setdefault(file.digest, file.size) != file.size:
            msg = f"{file.name} has the digest of another file, but not its size"
            raise InvalidRequest(msg)
    total = sum(file.size for file in body.files)
    if total > limits.bundle_size:
        msg = f"a bundle may have {limits.bundle_size} bytes, this one has {total}"
        raise TooLarge(msg)
    return total


def _check_remote(entry: ManifestEntry) -> None:
    uri = DependencyUri.parse(entry.uri)
    if uri.has_credentials:
        msg = f"{uri} carries credentials, which the server must not store; give them to the source's settings"
        raise InvalidRequest(msg)
    if uri.locality is Locality.SUBMITTER_LOCAL or uri.scheme == STAGED_SCHEME:
        msg = f"{uri} is not remote; stage it as one of `files`"
        raise InvalidRequest(msg)


def _manifest(body: NewBundle) -> Manifest:
    staged = tuple(
        ManifestEntry(
            uri=DependencyUri.staged(file.kind, file.name).text,
            kind=file.kind,
            target=file.name,
            digest=file.digest,
            size=file.size,
        )
        for file in body.files
    )
    return Manifest(entries=(*body.remote, *staged))


def _check_targets(entries: Iterable[ManifestEntry]) -> None:
    taken: dict[tuple[str, str], ManifestEntry] = {}
    for entry in entries:
        # Archives and files can be in one folder, the pod's working folder (`pod_contract.folder_of`).
        folder = _WORK if entry.kind in {Kind.ARCHIVE, Kind.FILE} else entry.kind
        # An ASCII name in lower case is its own key; computing the general one for each of 10,000 costs.
        key = entry.target if entry.target.isascii() and entry.target.islower() else entry.target.collision_key
        other = taken.setdefault((folder, key), entry)
        if other is not entry:
            msg = f"{_name(other)} and {_name(entry)} have the same target {entry.target!r}; rename one (uri#name)"
            raise TargetCollision(msg)


def _name(entry: ManifestEntry) -> str:
    return f"{entry.kind} {DependencyUri.parse(entry.uri)}"


def _time_to_live(body: NewBundle) -> timedelta | None:
    asked = None if body.retention is None else body.retention.time_to_live
    return None if asked is None else timedelta(seconds=asked)
