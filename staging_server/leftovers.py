"""What uploads leave: bytes and rows that lead to no blob any more.

    whole blobs      files of processes that ended, at once; rows that are older than any such upload may be
    uploads in parts those to which nothing happened for too long, and those that ended but for their bytes
    strays           committed bytes that no row knows, after a database was restored from an older back-up

A row is written before the first byte and goes after the last one.  So bytes without a row are nobody's, and bytes of
an upload that waits for its next part are left alone, however long nobody has held their lock.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from itertools import cycle, islice
from typing import Final

import structlog

from staging_protocol.uploads import UploadId
from staging_server.audit import SWEEPER
from staging_server.blobs.base import PREFIXES, BlobStore
from staging_server.metadata import arrivals, remains, upload_endings
from staging_server.metadata.base import Metadata, one_by_one
from staging_server.metadata.leases import SweepLease
from staging_server.metadata.upload_endings import Ending, Idle
from staging_server.retention.sweep_batches import Batches
from staging_server.settings import RetentionSettings
from staging_server.times import micros
from staging_server.uploads.tidying import remove_ended

_log: Final = structlog.get_logger("sweeper")

_BATCH: Final = 128
"""Rows or files looked at together."""

_named = one_by_one(arrivals.is_named)
_expire = one_by_one(upload_endings.expire)


class Leftovers:
    """Those of one store."""

    def __init__(self, *, metadata: Metadata, blobs: BlobStore, retention: RetentionSettings) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._retention = retention
        self._batches = Batches(metadata)
        self._folders = cycle(PREFIXES)

    async def tidy_uploads(self, lease: SweepLease, now: datetime) -> None:
        """Remove what uploads left that will not go on."""
        await self._expire(lease, now)
        async for ended in self._batches.of(upload_endings.find_ended, _BATCH):
            await self._remove(ended)
        async for abandoned in _together(self._blobs.abandoned()):
            waiting = await self._metadata.read(upload_endings.find_waiting, abandoned)
            for upload in abandoned:
                if upload not in waiting:
                    await self._blobs.forget(upload)
        until = micros(now - timedelta(seconds=self._retention.stale_upload))
        async for stale in self._batches.of(remains.find_stale_uploads, until):
            await self._remove([Ending(id=upload, key=key) for upload, key in stale])

    async def remove_strays(self, *, folders: int) -> None:
        """Search the next `folders` of 256 for files that no row knows, and remove them."""
        for prefix in islice(self._folders, folders):
            async for found in self._blobs.listing(prefix):
                if found.age <= self._retention.stale_upload or await self._metadata.write(_named, found.key):
                    continue
                if not await self._metadata.read(upload_endings.is_expected, found.key):
                    await self._blobs.remove(found.key)
                    _log.warning("sweep.stray-removed", key=found.key, size=found.size)

    async def _expire(self, lease: SweepLease, now: datetime) -> None:
        until = now - timedelta(seconds=self._retention.upload_keep)
        async for idle in self._batches.of(upload_endings.find_idle, (until, _BATCH)):
            items = [Idle(id=upload, until=until, now=now, caller=SWEEPER, lease=lease) for upload in idle]
            await self._batches.write(_expire, items, lease=lease)

    async def _remove(self, ended: Sequence[Ending]) -> None:
        for ending in ended:
            await remove_ended(ending, metadata=self._metadata, blobs=self._blobs)


async def _together(uploads: AsyncIterator[UploadId]) -> AsyncIterator[list[UploadId]]:
    some: list[UploadId] = []
    async for upload in uploads:
        some.append(upload)
        if len(some) == _BATCH:
            yield some
            some = []
    if some:
        yield some
