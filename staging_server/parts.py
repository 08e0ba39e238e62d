"""The parts of the server below HTTP, opened and closed together, and what must be true before they open.

A start that cannot work says so in a sentence, before anything listens: a folder that is missing or not writable, a
disk that is full, SQLite on a network file system (whose locks do not hold), a database that is newer than the program.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from staging_protocol.api.info import PodEndpoint
from staging_protocol.api.operators import Sweep
from staging_protocol.errors import InvalidRequest, NoSpace
from staging_server.blobs.base import BlobStore
from staging_server.blobs.local import LocalBlobs
from staging_server.blobs.upload_files import sync_folder
from staging_server.bundles.creation import Creation
from staging_server.bundles.operations import Bundles
from staging_server.bundles.overview import Overview
from staging_server.metadata.base import Metadata
from staging_server.metadata.store import database_file, open_for_reading, open_metadata
from staging_server.observer import SILENT, Observer
from staging_server.reserve import Reserve
from staging_server.retention.foresight import Foresight
from staging_server.retention.known_policies import KnownPolicies
from staging_server.retention.lead import LeadSights
from staging_server.retention.sights import UNKNOWN, UNOBSERVED, Sights
from staging_server.retention.sweeper import Sweeper
from staging_server.settings import Connect, Settings, StorageSettings
from staging_server.times import Clock, utc_now
from staging_server.uploads.batches import Batches
from staging_server.uploads.resumable import ResumableUploads
from staging_server.uploads.whole import Uploads

_MOUNTS: Final = Path("/proc/self/mounts")
_LEAST: Final = 65_536
"""Bytes without which SQLite cannot even open its files."""

_NETWORK: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "9p"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.juicefs", "fuse.gcsfuse", "fuse.mount-s3"),
    }
)
"""Types of file systems that several machines share, as the kernel names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerParts:
    """Everything that handlers need."""

    settings: Settings
    metadata: Metadata
    blobs: BlobStore
    creation: Creation
    bundles: Bundles
    overview: Overview
    uploads: Uploads
    batches: Batches
    resumable: ResumableUploads
    policies: KnownPolicies
    sights: LeadSights
    sweeper: Sweeper


@asynccontextmanager
async def open_server_parts(
    settings: Settings,
    *,
    pods: PodEndpoint | None = None,
    observer: Observer = SILENT,
    clock: Clock = utc_now,
    database: AbstractAsyncContextManager[Metadata] | None = None,
    sights: Sights | None = None,
) -> AsyncIterator[ServerParts]:
    """Check, migrate and open everything; close it in order at the end.

    `pods` is where pods reach the server; None takes it from the settings.  `database` is that of a process
    beside another one that has checked everything; None opens the one of the settings.  `sights` is what is known of
    Kubernetes without the lead: None says that it is unknown where one is connected, and else that nobody asks.

    Raises:
        InvalidRequest, NoSpace, Unavailable: with a plain message, when the server cannot work like this.
    """
    reserve = Reserve(database_file(settings.storage))
    if database is None:
        await asyncio.to_thread(check_storage, settings.storage)
        await asyncio.to_thread(reserve.give_if_full)
        await asyncio.to_thread(_require_room, settings.storage)
    opening = open_metadata(settings.storage, observer=observer) if database is None else database
    async with opening as metadata, _local_blobs(settings) as blobs:
        if database is None:
            await asyncio.to_thread(reserve.keep)
        policies = await asyncio.to_thread(KnownPolicies, settings, observer=observer)
        known = LeadSights(_sights_without_lead(settings) if sights is None else sights)
        bundles = Bundles(metadata=metadata, settings=settings, policies=policies, clock=clock, observer=observer)
        creation = Creation(
            metadata=metadata,
            settings=settings,
            policies=policies,
            pods=await asyncio.to_thread(pod_endpoint, settings) if pods is None else pods,
            readers=bundles.readers,
            clock=clock,
            observer=observer,
        )
        overview = Overview(metadata=metadata, settings=settings, policies=policies, sights=known, clock=clock)
        uploads = Uploads(metadata=metadata, blobs=blobs, settings=settings, clock=clock, observer=observer)
        batches = Batches(
            metadata=metadata, blobs=blobs, uploads=uploads, limits=settings.limits, clock=clock, observer=observer
        )
        resumable = ResumableUploads(
            metadata=metadata, blobs=blobs, uploads=uploads, settings=settings, clock=clock, observer=observer
        )
        sweeper = Sweeper(
            metadata=metadata, blobs=blobs, activity=bundles.activity, readers=bundles.readers, settings=settings,
            policies=policies, sights=known, reserve=reserve, clock=clock, observer=observer,
        )  # fmt: skip
        try:
            yield ServerParts(
                settings=settings, metadata=metadata, blobs=blobs, creation=creation, bundles=bundles,
                overview=overview, uploads=uploads, batches=batches, resumable=resumable, policies=policies,
                sights=known, sweeper=sweeper,
            )  # fmt: skip
        finally:
            await resumable.close()
            await batches.close()
            await uploads.close()
            await bundles.activity.flush_if_possible()


async def foresee(settings: Settings) -> Sweep:
    """Return what a sweep would do, beside a server or without one; nothing is changed.

    Raises:
        InvalidRequest, Unavailable: the database is not there, or not up to date.
    """
    policies = await asyncio.to_thread(KnownPolicies, settings)
    grace = timedelta(seconds=settings.retention.blob_grace)
    async with open_for_reading(settings.storage) as metadata:
        sights = _sights_without_lead(settings)
        foresight = Foresight(metadata=metadata, policies=policies, sights=sights, grace=grace, clock=utc_now)
        return await foresight.sweep()


def check_storage(storage: StorageSettings, *, mounts: str | None = None) -> None:
    """Make sure that the data can lie where the settings say; `mounts` is the text of /proc/self/mounts.

    Raises:
        InvalidRequest: with what to do.
    """
    folder = storage.folder
    if not folder.parent.is_dir():
        msg = f"storage.folder: {folder.parent} does not exist; make it, or mount the volume for the data there"
        raise InvalidRequest(msg)
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o750)
            # A power cut must not take the folder away with all that is answered soon.
            sync_folder(folder.parent)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        msg = f"storage.folder: {folder} is not writable for user {os.getuid()}: {error.strerror}"
        raise InvalidRequest(msg) from error
    database = database_file(storage)
    if database is not None:
        _refuse_network(database, mounts=_read_mounts() if mounts is None else mounts)


def _sights_without_lead(settings: Settings) -> Sights:
    return UNOBSERVED if settings.kubernetes.connect is Connect.NO else UNKNOWN


def pod_endpoint(settings: Settings) -> PodEndpoint:
    """Return where pods reach the server, by the settings alone.

    Raises:
        InvalidRequest: the file of the authority cannot be read.
    """
    scheme = "http" if settings.tls.certificate_file is None else "https"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = settings.pod_url or f"{scheme}://{host}:{settings.port}"
    audience = settings.auth.token_audience
    if settings.pod_ca_file is None:
        return PodEndpoint(url=url, token_audience=audience)
    try:
        return PodEndpoint(url=url, ca=settings.pod_ca_file.read_text(), token_audience=audience)
    except OSError as error:
        msg = f"pod_ca_file: {settings.pod_ca_file} cannot be read: {error.strerror}"
        raise InvalidRequest(msg) from error


@asynccontextmanager
async def _local_blobs(settings: Settings) -> AsyncIterator[LocalBlobs]:
    storage = settings.storage
    blobs = LocalBlobs(storage.folder, io_threads=storage.io_threads, flush_every=storage.flush_every)
    try:
        await blobs.prepare()
        yield blobs
    finally:
        await blobs.close()


def _require_room(storage: StorageSettings) -> None:
    """Refuse a disk without any room; above the high-water mark the server starts, as it runs: pods have to read."""
    database = database_file(storage)
    for folder in {storage.folder} | ({database.parent} if database is not None else set()):
        status = os.statvfs(folder)
        if status.f_blocks and status.f_bavail * status.f_frsize < _LEAST:
            msg = f"the disk of {folder} is full: less than {_LEAST} of its bytes are free; free some"
            raise NoSpace(msg)


def _refuse_network(database: Path, *, mounts: str) -> None:
    kind = _file_system(database.parent.resolve(), mounts.splitlines())
    if kind in _NETWORK:
        msg = (
            f"the database {database} would lie on a network file system ({kind}), where SQLite's locks do not hold; "
            "use a disk of this machine, or PostgreSQL (storage.database_url)"
        )
        raise InvalidRequest(msg)


def _read_mounts() -> str:
    return _MOUNTS.read_text() if _MOUNTS.exists() else ""


def _file_system(folder: Path, mounts: Iterable[str]) -> str:
    found, kind = Path("/"), ""
    for line in mounts:
        _, where, fs_type, *_ = line.split(" ")
        # The kernel writes white space in names as octal numbers.
        point = Path(where.encode().decode("unicode_escape"))
        # A later mount hides an earlier one at the same place.
        if folder.is_relative_to(point) and point.is_relative_to(found):
            found, kind = point, fs_type
    return kind
