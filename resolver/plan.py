"""What is to do: a manifest becomes downloads with final paths, or an error that names what is wrong.

This is pure: what has to be known of the world (folders, free space, files that are there) comes as arguments.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Mapping
from typing import Final

import msgspec

from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, NoSpace, TargetCollision
from staging_protocol.filenames import FileName
from staging_protocol.manifest import MANIFEST_VERSION, Kind, Manifest, ManifestEntry
from staging_protocol.uris import DependencyUri, Locality

RESERVED_PREFIX: Final = ".spark-staging-"
"""Names that begin so are the resolver's own, for what is not whole yet."""

FolderOf = Callable[[Kind], str]


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """One dependency that has to come: `path` is its file, or for an archive the folder it is unpacked into."""

    uri: DependencyUri
    kind: Kind
    folder: str
    target: FileName
    path: str
    size: int | None
    digest: Digest | None

    @property
    def is_unpacked(self) -> bool:
        """Whether it is an archive; other kinds never are."""
        return self.kind is Kind.ARCHIVE

    @property
    def needs_record(self) -> bool:
        """Whether what is on the disk cannot be checked by the manifest alone."""
        return self.is_unpacked or self.digest is None


class ContainerLocal(msgspec.Struct, frozen=True, kw_only=True):
    """A dependency that is in the image or on a volume already, by its `local:` URI."""

    uri: DependencyUri
    kind: Kind
    target: FileName
    path: str


class Volume(msgspec.Struct, frozen=True):
    """A file system: which one, and the bytes that are free on it."""

    id: int
    free: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is to do, in the manifest's order."""

    downloads: tuple[Download, ...]
    container_local: tuple[ContainerLocal, ...]

    @property
    def size(self) -> int:
        """Bytes to come, as far as the manifest knows them."""
        return sum(download.size or 0 for download in self.downloads)


def plan(
    manifest: Manifest,
    *,
    folder_of: FolderOf,
    schemes: Container[str],
    volumes: Mapping[str, Volume] | None = None,
    held: Mapping[str, int] | None = None,
) -> Plan:
    """Decide where each dependency goes.

    Args:
        manifest: what the job needs.
        folder_of: the folder of each kind.
        schemes: schemes that can be downloaded.
        volumes: the volume of each folder; without it space is not looked at.
        held: sizes of files that are there already, by final path; they need no space again.

    Raises:
        InvalidRequest: an entry cannot be downloaded, or has a name that is not allowed.
        TargetCollision: two entries have the same target, or names that differ in case or Unicode form only.
        NoSpace: the volumes have too little space.
    """
    if manifest.version != MANIFEST_VERSION:
        msg = f"the manifest has version {manifest.version}; this program knows version {MANIFEST_VERSION}"
        raise InvalidRequest(msg)
    parsed = [(entry, DependencyUri.parse(entry.uri)) for entry in manifest.entries]
    downloads = tuple(
        _download(entry, uri, folder_of=folder_of, schemes=schemes)
        for entry, uri in parsed
        if uri.locality is not Locality.CONTAINER_LOCAL
    )
    _check_collisions(downloads)
    if volumes is not None:
        _check_space(downloads, volumes=volumes, held=held or {})
    return Plan(
        downloads=downloads,
        container_local=tuple(
            ContainerLocal(uri=uri, kind=entry.kind, target=entry.target, path=uri.local_path)
            for entry, uri in parsed
            if uri.locality is Locality.CONTAINER_LOCAL
        ),
    )


def _download(entry: ManifestEntry, uri: DependencyUri, *, folder_of: FolderOf, schemes: Container[str]) -> Download:
    if uri.locality is Locality.SUBMITTER_LOCAL:
        msg = f"{uri} is a file of the submitter's machine; stage it first (spark-staging stage)"
        raise InvalidRequest(msg)
    if uri.scheme not in schemes:
        msg = f"{uri}: the scheme {uri.scheme!r} is not supported by this version"
        raise InvalidRequest(msg)
    if entry.target.startswith(RESERVED_PREFIX):
        msg = f"{uri}: the target {entry.target!r} is reserved; names must not begin with {RESERVED_PREFIX!r}"
        raise InvalidRequest(msg)
    if entry.size is not None and entry.size < 0:
        msg = f"{uri}: the size {entry.size} is negative"
        raise InvalidRequest(msg)
    folder = folder_of(entry.kind)
    return Download(
        uri=uri, kind=entry.kind, folder=folder, target=entry.target, path=f"{folder}/{entry.target}",
        size=entry.size, digest=entry.digest,
    )  # fmt: skip


def _check_collisions(downloads: tuple[Download, ...]) -> None:
    seen: dict[tuple[str, str], Download] = {}
    for download in downloads:
        other = seen.setdefault((download.folder, download.target.collision_key), download)
        if other is not download:
            how = "the same target" if other.target == download.target else "targets that some file systems confuse"
            msg = f"{other.uri} and {download.uri} have {how}: {other.target!r}, {download.target!r}"
            raise TargetCollision(msg)


def _check_space(downloads: tuple[Download, ...], *, volumes: Mapping[str, Volume], held: Mapping[str, int]) -> None:
    needed: defaultdict[Volume, int] = defaultdict(int)
    for download in downloads:
        if download.size is not None and held.get(download.path) != download.size:
            needed[volumes[download.folder]] += download.size
    for volume, size in needed.items():
        if size > volume.free:
            folders = ", ".join(sorted(folder for folder, its in volumes.items() if its == volume))
            msg = f"{size} bytes are to come into {folders}, but only {volume.free} bytes are free there"
            raise NoSpace(msg)
