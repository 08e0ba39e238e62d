"""Whole-blob uploads: refused before a byte is read, or verified before the blob exists.

check            limits, wanted?, room on the disk, places
begin_upload     a row that knows of the bytes, whatever happens
receive          `receiving`: hash and file together
commit           digest right: durable under the key of this upload
store_blob       the row names the key: from here on it is a blob
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from staging_protocol.digests import Digest
from staging_protocol.errors import BlobNotWanted, NoSpace, StagingError, TooLarge, TooManyRequests
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import BlobKey, BlobStore, BlobWriter
from staging_server.metadata import arrivals
from staging_server.metadata.arrivals import Arrival, BlobOf
from staging_server.metadata.base import Metadata, one_by_one
from staging_server.observer import SILENT, Observer
from staging_server.receiving import receive, verify
from staging_server.settings import Settings
from staging_server.tenants import Caller, Tenant
from staging_server.times import Clock, utc_now

_log = structlog.get_logger()

_RETRY_AFTER: Final = 5
"""Seconds that a client should wait for a place; uploads are long, so sooner makes no sense."""

_begin = one_by_one(arrivals.begin_upload)
_store = one_by_one(arrivals.store_blob)
_end = one_by_one(arrivals.end_upload)
_named = one_by_one(arrivals.is_named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Answer of `check`: with `held` the tenant has the blob already, and the body need not be read (204)."""

    held: bool


class Uploads:
    """All uploads of this process."""

    def __init__(
        self,
        *,
        metadata: Metadata,
        blobs: BlobStore,
        settings: Settings,
        clock: Clock = utc_now,
        observer: Observer = SILENT,
    ) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._settings = settings
        self._clock = clock
        self._observer = observer
        self._in_flight: Counter[Tenant] = Counter()
        self._coming = 0
        self._cleaning: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """Uploads under way, for metrics."""
        return self._in_flight.total()

    async def check(self, tenant: Tenant, digest: Digest, size: int) -> Wanted:
        """Tell whether an upload may begin, before a byte of it is read.

        Raises:
            TooLarge, NoSpace: by size or for lack of room.
            BlobNotWanted: no open bundle of the tenant wants this digest with this size.
            TooManyRequests: all places are taken.
        """
        limit = self._settings.limits.file_size
        if size > limit:
            msg = f"a file may have {limit} bytes, this one has {size}"
            raise TooLarge(msg)
        wish = await self._metadata.read(arrivals.find_wish, BlobOf(tenant, digest))
        if wish.held == size:
            return Wanted(held=True)
        if size not in wish.wanted:
            msg = f"no open bundle of this namespace wants {digest} with {size} bytes; create the bundle first"
            raise BlobNotWanted(msg)
        self._check_places(tenant)
        await self._check_room(size)
        return Wanted(held=False)

    async def put(
        self, tenant: Tenant, digest: Digest, size: int, chunks: AsyncIterator[bytes], *, caller: Caller
    ) -> None:
        """Take the bytes of a blob; return when they are verified, durable and the tenant's.

        Doing it again is harmless: bytes that the tenant holds are not read.

        Raises:
            DigestMismatch: the bytes are others, more or fewer than promised.
            StagingError: what `check` raises, and whatever `chunks` raises passes through.
        """
        if (await self.check(tenant, digest, size)).held:
            return
        started = time.monotonic()
        with self._place(tenant, size):
            try:
                kept = await self._receive(tenant, digest, size, chunks, caller=caller)
            except StagingError as error:
                self._observer.upload_failed(code=error.code)
                raise
        if kept:
            self._observer.blob_stored(size=size, seconds=time.monotonic() - started)

    async def close(self) -> None:
        """Wait for what is being tidied up."""
        while self._cleaning:
            await asyncio.wait(self._cleaning)

    async def _receive(
        self, tenant: Tenant, digest: Digest, size: int, chunks: AsyncIterator[bytes], *, caller: Caller
    ) -> bool:
        upload = UploadId.generate()
        key = BlobKey.of(digest, upload=upload)
        arrival = Arrival(
            upload=upload, tenant=tenant, caller=caller, digest=digest, size=size, key=key, now=self._clock()
        )
        await self._metadata.write(_begin, arrival)
        writer = await self._blobs.create(upload)
        kept = False
        try:
            await receive(writer, chunks, size=size, batch=self._settings.storage.write_buffer)
            await verify(writer, digest=digest, size=size)
            await writer.commit(key)
            kept = await self._metadata.write(_store, arrival)
        finally:
            if not kept:
                await self._tidy(arrival, writer)
        return kept

    async def _tidy(self, arrival: Arrival, writer: BlobWriter) -> None:
        """Remove what did not become a blob; this goes on when the request is cancelled."""
        task = asyncio.create_task(self._remove(arrival, writer), name="tidy upload")
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)
        await asyncio.shield(task)

    async def _remove(self, arrival: Arrival, writer: BlobWriter) -> None:
        try:
            await writer.cancel()
            # Who was cancelled at the last step does not know whether it was done; the writer's next transaction does.
            if not await self._metadata.write(_named, arrival.key):
                await self._blobs.remove(arrival.key)
                await self._metadata.write(_end, arrival.upload)
        except StagingError as error:
            # The row of the upload is still there, so the sweep will ask again.
            _log.warning("upload.left-over", upload=arrival.upload, error=error.detail)

    @contextmanager
    def _place(self, tenant: Tenant, size: int) -> Iterator[None]:
        self._check_places(tenant)
        self._in_flight[tenant] += 1
        self._coming += size
        try:
            yield
        finally:
            self._coming -= size
            self._in_flight[tenant] -= 1
            if not self._in_flight[tenant]:
                del self._in_flight[tenant]

    def _check_places(self, tenant: Tenant) -> None:
        limits = self._settings.limits
        if self.in_flight >= limits.uploads_in_flight or self._in_flight[tenant] >= limits.uploads_per_namespace:
            raise TooManyRequests("all places for uploads are taken; try again", retry_after=_RETRY_AFTER)

    async def _check_room(self, size: int) -> None:
        space = await self._blobs.space()
        if space.total is None or space.free is None:
            return
        kept_free = space.total * (1 - self._settings.limits.disk_high_water)
        # Uploads under way count in full, although part of them is on the disk already: too careful, not too late.
        if space.free - self._coming - size < kept_free:
            msg = f"the server's disk has {space.free} bytes left and keeps {int(kept_free)} of them free"
            raise NoSpace(msg)
