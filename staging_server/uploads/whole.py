"""Whole-blob uploads: refused before a byte is read, or verified before the blob exists.

check            limits, wanted?, room on the disk
place            one of the places, waited for in a fair queue; from here on bytes are read
begin_upload     a row that knows of the bytes, whatever happens
receive          `receiving`: hash and file together
commit           digest right: durable under the key of this upload
store_blob       the row names the key: from here on it is a blob
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from staging_protocol.digests import Digest
from staging_protocol.errors import BlobNotWanted, StagingError, TooLarge
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import BlobKey, BlobStore, BlobWriter, ByteWriter
from staging_server.metadata import arrivals, wishes
from staging_server.metadata.arrivals import Arrival
from staging_server.metadata.base import Metadata, one_by_one
from staging_server.metadata.upload_endings import Ending
from staging_server.metadata.wishes import Wish
from staging_server.observer import SILENT, Observer
from staging_server.settings import Settings
from staging_server.tenants import Caller, Tenant
from staging_server.times import Clock, utc_now
from staging_server.uploads.places import Places, Presence
from staging_server.uploads.receiving import Body, Receiver, collect, verify
from staging_server.uploads.room import Room
from staging_server.uploads.tidying import Tidying, remove_ended

_SMALL: Final = 128 * 1024
"""Bytes up to which a body is collected first, so that one trip to a thread does all that it needs of the disk."""

_begin = one_by_one(arrivals.begin_uploads)


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
        limits = settings.limits
        self._places = Places(limits)
        self._room = Room(blobs, high_water=limits.disk_high_water)
        self._receiver = Receiver(most=limits.uploads_in_flight, batch=settings.storage.write_buffer)
        self._tidying = Tidying()

    @property
    def in_flight(self) -> int:
        """Uploads under way, for metrics."""
        return self._places.held

    @property
    def waiting(self) -> int:
        """Uploads that wait for a place."""
        return self._places.waiting

    async def check(self, tenant: Tenant, digest: Digest, size: int) -> Wanted:
        """Tell whether an upload may begin, before a byte of it is read.

        Raises:
            TooLarge, NoSpace: by size or for lack of room.
            BlobNotWanted: no open bundle of the tenant wants this digest with this size.
        """
        limit = self._settings.limits.file_size
        if size > limit:
            msg = f"a file may have {limit} bytes, this one has {size}"
            raise TooLarge(msg)
        wish = await self._metadata.read(wishes.find_wish, (tenant, digest))
        if is_held(wish, digest, size):
            return Wanted(held=True)
        await self.check_room(size)
        return Wanted(held=False)

    async def check_room(self, size: int) -> None:
        """Return when the disk has room for `size` more bytes; raises NoSpace."""
        await self._room.check(size)

    @asynccontextmanager
    async def place(self, tenant: Tenant, size: int, presence: Presence) -> AsyncIterator[bool]:
        """Hold a place for `size` bytes; yields whether it had to be waited for.

        Raises:
            TooManyRequests, Unavailable, ConnectionResetError: see `Places.place`.
        """
        async with self._places.place(tenant, presence) as waited:
            with self._room.promised(size):
                yield waited

    async def receive(self, writer: ByteWriter, body: Body, *, size: int) -> None:
        """Write the `size` bytes of `body`, within a place: see `Receiver.receive`."""
        await self._receiver.receive(writer, body, size=size)

    async def put(self, tenant: Tenant, digest: Digest, size: int, body: Body, *, caller: Caller) -> bool:
        """Take the bytes of a blob; return when they are verified, durable and the tenant's.

        Doing it again is harmless: bytes that the tenant holds are not read.

        Returns:
            Whether the tenant held them before.

        Raises:
            DigestMismatch: the bytes are others, more or fewer than promised.
            StagingError: what `check`, `place` and `body` raise.
        """
        if (await self.check(tenant, digest, size)).held:
            return True
        started = time.monotonic()
        async with self.place(tenant, size, body) as waited:
            if waited and (await self.check(tenant, digest, size)).held:
                return True
            try:
                kept = await self._receive(tenant, digest, size, body, caller=caller)
            except StagingError as error:
                self._observer.upload_failed(code=error.code)
                raise
        if kept:
            self._observer.blob_stored(size=size, seconds=time.monotonic() - started)
        return False

    def drain(self) -> None:
        """Send those away who wait for a place; what runs goes on."""
        self._places.close()

    async def close(self) -> None:
        """Wait for what is being tidied up."""
        await self._tidying.close()
        await self._receiver.close()

    async def _receive(self, tenant: Tenant, digest: Digest, size: int, body: Body, *, caller: Caller) -> bool:
        upload = UploadId.generate()
        key = BlobKey.of(digest, upload=upload)
        arrival = Arrival(
            upload=upload, tenant=tenant, caller=caller, digest=digest, size=size, key=key, now=self._clock()
        )
        await self._metadata.write(_begin, [arrival])
        writer = await self._blobs.create(upload)
        kept = False
        try:
            if size <= _SMALL:
                await writer.write_whole(await collect(body, size=size), key)
            else:
                await self.receive(writer, body, size=size)
                await verify(writer, digest=digest, size=size)
                await writer.commit(key)
            kept = bool(await self._metadata.write(arrivals.store_blobs, [arrival]))
        finally:
            if not kept:
                # It is logged; the sweep does what this could not.
                with suppress(StagingError):
                    await self._tidying.to_its_end(self._remove(arrival, writer), upload=upload)
        return kept

    async def _remove(self, arrival: Arrival, writer: BlobWriter) -> None:
        await writer.cancel()
        ending = Ending(id=arrival.upload, key=arrival.key)
        await remove_ended(ending, metadata=self._metadata, blobs=self._blobs)


def is_held(wish: Wish, digest: Digest, size: int) -> bool:
    """Tell whether the tenant has the blob already, so that its bytes need not come.

    Raises:
        BlobNotWanted: it has not, and no open bundle of it wants this digest with this size.
    """
    if wish.held == size:
        return True
    if size not in wish.wanted:
        msg = f"no open bundle of this namespace wants {digest} with {size} bytes; create the bundle first"
        raise BlobNotWanted(msg)
    return False
