"""Many small blobs in one request: what a single one needs of threads, transactions and folders is shared by all.

check        the whole by its size, before anything is read
place        one, as for a single upload
first line   which blobs, of what sizes; all of them wanted or held, or nothing more is read
begin        one transaction: a row for each upload that brings bytes
receive      one thread: each blob to its own file and hash; those that are held are passed over
commit       all verified, then durable under their keys
store        one transaction: from here on they are blobs, all of them

A batch is refused as a whole: nothing of it becomes a blob, and whoever sends it again loses at most its bytes.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

from staging_protocol.api.info import BatchLimits
from staging_protocol.batches import MAX_LINE, Batch, BatchedBlob
from staging_protocol.digests import Digest
from staging_protocol.errors import InvalidRequest, StagingError, TooLarge
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import Batched, BatchWriter, BlobKey, BlobStore
from staging_server.metadata import arrivals, wishes
from staging_server.metadata.arrivals import Arrival
from staging_server.metadata.base import Metadata, one_by_one
from staging_server.metadata.upload_endings import Ending
from staging_server.metadata.wishes import BlobsOf
from staging_server.observer import SILENT, Observer
from staging_server.settings.limits import LimitSettings
from staging_server.tenants import Caller, Tenant
from staging_server.times import Clock, utc_now
from staging_server.uploads.receiving import Body
from staging_server.uploads.tidying import Tidying, remove_ended
from staging_server.uploads.whole import Uploads, is_held

_BLOBS: Final = 128
"""Each is an open file until the batch is committed."""

_BLOB_SIZE: Final = 1024 * 1024
"""Bytes; a larger blob gains nothing: its bytes cost more than its request."""

_SIZE: Final = 8 * 1024 * 1024
"""Bytes: what is sent again at most after an interruption, as of a part."""

_begin = one_by_one(arrivals.begin_uploads)


class BatchBody(Body, Protocol):
    """The body of a request that begins with a line."""

    async def line(self, *, at_most: int) -> bytes:
        """Return the first line without its end; what follows comes by `chunks` or `straight`.

        Raises:
            InvalidRequest: it has no end within `at_most` bytes.
            RequestTimeout, ConnectionResetError: as `chunks`.
        """
        ...


def batch_limits(limits: LimitSettings) -> BatchLimits:
    """Return what a batch may have, on a server with these settings."""
    return BatchLimits(blobs=_BLOBS, blob_size=min(_BLOB_SIZE, limits.file_size), size=_SIZE)


class Batches:
    """All batches of this process; they share places, room and threads with single `uploads`."""

    def __init__(
        self,
        *,
        metadata: Metadata,
        blobs: BlobStore,
        uploads: Uploads,
        limits: LimitSettings,
        clock: Clock = utc_now,
        observer: Observer = SILENT,
    ) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._uploads = uploads
        self._limits = batch_limits(limits)
        self._clock = clock
        self._observer = observer
        self._tidying = Tidying()

    async def put(self, tenant: Tenant, size: int, body: BatchBody, *, caller: Caller) -> bool:
        """Take the `size` bytes of a body; return when all of its blobs are verified, durable and the tenant's.

        Doing it again is harmless: bytes of blobs that the tenant holds are not looked at.

        Returns:
            Whether the tenant held all of them before.

        Raises:
            TooLarge: it is more than a batch may have.
            InvalidRequest: its first line is none, or names other sizes than `size`.
            BlobNotWanted: no open bundle of the tenant wants one of them with its size.
            DigestMismatch: the bytes of one are others than promised.
            StagingError: what a single upload raises.
        """
        if size > self._limits.size + MAX_LINE:
            msg = f"a batch may have {self._limits.size} bytes and a first line of {MAX_LINE}, this one has {size}"
            raise TooLarge(msg)
        await self._uploads.check_room(size)
        async with self._uploads.place(tenant, size, body):
            batch = await self._announced(body, size=size)
            arriving = await self._arriving(tenant, batch, caller=caller)
            if not arriving:
                return True
            started = time.monotonic()
            try:
                kept = await self._receive(batch, arriving, body)
            except StagingError as error:
                self._observer.upload_failed(code=error.code)
                raise
        seconds = time.monotonic() - started
        for arrival in arriving.values():
            if arrival.upload in kept:
                self._observer.blob_stored(size=arrival.size, seconds=seconds)
        return False

    async def close(self) -> None:
        """Wait for what is being tidied up."""
        await self._tidying.close()

    async def _announced(self, body: BatchBody, *, size: int) -> Batch:
        """Return what the first line says, which is checked here."""
        line = await body.line(at_most=MAX_LINE)
        batch = Batch.of_line(line)
        batch.check(self._limits)
        promised = len(line) + 1 + batch.size
        if promised != size:
            msg = f"the first line and its blobs have {promised} bytes, the Content-Length is {size}"
            raise InvalidRequest(msg)
        return batch

    async def _arriving(self, tenant: Tenant, batch: Batch, *, caller: Caller) -> dict[Digest, Arrival]:
        """Return the uploads of those blobs that the tenant does not hold yet."""
        asked = BlobsOf(tenant, [blob.digest for blob in batch.blobs])
        known = await self._metadata.read(wishes.find_wishes, asked)
        now = self._clock()
        arriving: dict[Digest, Arrival] = {}
        for blob in batch.blobs:
            if not is_held(known[blob.digest], blob.digest, blob.size):
                upload = UploadId.generate()
                arriving[blob.digest] = Arrival(
                    upload=upload, tenant=tenant, caller=caller, digest=blob.digest, size=blob.size,
                    key=BlobKey.of(blob.digest, upload=upload), now=now,
                )  # fmt: skip
        return arriving

    async def _receive(self, batch: Batch, arriving: Mapping[Digest, Arrival], body: BatchBody) -> frozenset[UploadId]:
        """Return the uploads whose bytes became blobs; others found the same bytes stored already."""
        uploads = list(arriving.values())
        await self._metadata.write(_begin, uploads)
        writer = await self._blobs.create_batch([_batched(blob, arriving.get(blob.digest)) for blob in batch.blobs])
        kept: frozenset[UploadId] = frozenset()
        try:
            await self._uploads.receive(writer, body, size=batch.size)
            await writer.commit()
            kept = await self._metadata.write(arrivals.store_blobs, uploads)
        finally:
            left = [upload for upload in uploads if upload.upload not in kept]
            if left:
                # It is logged; the sweep does what this could not.
                with suppress(StagingError):
                    await self._tidying.to_its_end(self._remove(left, writer), upload=left[0].upload)
        return kept

    async def _remove(self, left: Sequence[Arrival], writer: BatchWriter) -> None:
        await writer.cancel()
        endings = [Ending(id=arrival.upload, key=arrival.key) for arrival in left]
        # Together, because they share their transactions then.
        await asyncio.gather(*(remove_ended(one, metadata=self._metadata, blobs=self._blobs) for one in endings))


def _batched(blob: BatchedBlob, arrival: Arrival | None) -> Batched:
    return Batched(size=blob.size, key=None if arrival is None else arrival.key)
