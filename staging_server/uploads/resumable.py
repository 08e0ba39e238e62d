"""Uploads in parts, which outlive connections, requests and the server.

begin       a row that knows of the upload; no bytes yet
standing    take it over from whoever writes it: its offset, which is what is durably stored
append      take it over, add a part at the offset, make it durable, write down how far it came
            with the last part: verify the whole, and make it a blob as `uploads` does
cancel      end it, remove its bytes

A part that breaks off in the middle leaves what came of it.  Whether the bytes are right is known at the end only: then
the digest of the whole decides, and what is wrong is gone as a whole.
"""

from dataclasses import dataclass

from staging_protocol.digests import Digest
from staging_protocol.errors import (
    BlobNotWanted,
    DigestMismatch,
    InvalidRequest,
    StagingError,
    UploadOffsetMismatch,
)
from staging_protocol.uploads import UploadId, UploadState
from staging_server.blobs.base import BlobKey, BlobStore, ResumableWriter
from staging_server.metadata import arrivals, resumption, upload_endings
from staging_server.metadata.arrivals import Arrival
from staging_server.metadata.base import Metadata, one_by_one
from staging_server.metadata.resumption import NewUpload, Taken, UploadAt
from staging_server.metadata.upload_endings import Cancel
from staging_server.observer import SILENT, Observer
from staging_server.settings import Settings
from staging_server.tenants import Caller, Tenant
from staging_server.times import Clock, utc_now
from staging_server.uploads.receiving import Body, verify
from staging_server.uploads.whole import Uploads
from staging_server.uploads.writers import UploadWriters

_begin = one_by_one(resumption.begin)
_complete = one_by_one(resumption.complete)
_fail = one_by_one(resumption.fail)
_cancel = one_by_one(upload_endings.cancel)
_end = one_by_one(arrivals.end_upload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a client is about to send: `size` bytes from `offset`, and whether these are the last ones."""

    offset: int
    size: int
    complete: bool

    def check(self, whole: int) -> None:
        """Make sure that the part lies in an upload of `whole` bytes.

        Raises:
            InvalidRequest: it does not, or says of a part in the middle that it is the last one.
        """
        end = self.offset + self.size
        if end > whole or (self.complete and end != whole):
            msg = f"the part ends at {end}, the upload has {whole} bytes" + (" and shall be complete" * self.complete)
            raise InvalidRequest(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far an upload of `size` bytes is."""

    state: UploadState
    size: int


class ResumableUploads:
    """All uploads in parts, as far as this process has to do with them."""

    def __init__(
        self,
        *,
        metadata: Metadata,
        blobs: BlobStore,
        uploads: Uploads,
        settings: Settings,
        clock: Clock = utc_now,
        observer: Observer = SILENT,
    ) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._uploads = uploads
        self._settings = settings
        self._clock = clock
        self._observer = observer
        self._writers = UploadWriters(metadata=metadata, blobs=blobs, clock=clock)

    async def begin(self, tenant: Tenant, digest: Digest, size: int, *, caller: Caller) -> UploadId | None:
        """Begin an upload; None when the tenant holds the blob already.

        Raises:
            TooManyRequests: the tenant has too many open ones.
            StagingError: what `Uploads.check` raises.
        """
        if (await self._uploads.check(tenant, digest, size)).held:
            return None
        upload = UploadId.generate()
        arrival = Arrival(
            upload=upload, tenant=tenant, caller=caller, digest=digest, size=size,
            key=BlobKey.of(digest, upload=upload), now=self._clock(),
        )  # fmt: skip
        most = self._settings.limits.open_uploads_per_namespace
        await self._metadata.write(_begin, NewUpload(arrival=arrival, most=most))
        return upload

    async def standing(self, tenant: Tenant, upload: UploadId, *, caller: Caller) -> Standing:
        """Take an upload over, and tell how far it is.

        Raises:
            NotFound: there is none, or it is somebody else's.
            UploadSuperseded: somebody took it over at the same moment.
            Unavailable: who was taken over from does not let go.
        """
        taken = await self._writers.take(UploadAt(tenant, upload), caller=caller)
        if taken.complete:
            return _whole(taken)
        async with self._writers.writer(taken) as writer:
            offset = await writer.checkpoint()
            # What a crash kept from being written down.
            await self._writers.note(taken, writer)
        return Standing(state=UploadState(offset=offset, complete=False), size=taken.size)

    async def append(self, tenant: Tenant, upload: UploadId, part: Part, body: Body, *, caller: Caller) -> Standing:
        """Take an upload over and add a part, which is durable on return; with the last one it becomes a blob.

        Raises:
            InvalidRequest: the part does not fit into the upload.
            UploadOffsetMismatch: it does not begin where the upload stands.
            BlobNotWanted: no open bundle wants the blob any more; what came is kept for a while.
            DigestMismatch: the whole has another digest than promised; the upload is gone.
            NotFound, UploadSuperseded, Unavailable: as `standing`.
            StagingError: what `Uploads` raises for lack of room or places, and for a body that breaks off.
        """
        taken = await self._writers.take(UploadAt(tenant, upload), caller=caller)
        if taken.complete:
            return _whole(taken)
        part.check(taken.size)
        if not taken.wanted:
            msg = f"no open bundle of this namespace wants {taken.digest} any more; create one, and go on"
            raise BlobNotWanted(msg)
        try:
            async with self._writers.writer(taken) as writer:
                await _require_offset(writer, part)
                return await self._append(taken, writer, part, body)
        except StagingError as error:
            self._observer.upload_failed(code=error.code)
            raise

    async def cancel(self, tenant: Tenant, upload: UploadId, *, caller: Caller, anybody: bool) -> None:
        """End an upload, whoever writes it; `anybody` allows it for uploads of others.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        item = Cancel(at=UploadAt(tenant, upload), caller=caller, anybody=anybody, now=self._clock())
        await self._writers.remove(await self._metadata.write(_cancel, item))

    async def usage(self) -> tuple[int, int]:
        """Return how many uploads are open, of all tenants, and about how many bytes of them came."""
        return await self._metadata.read(resumption.find_standing, None)

    async def close(self) -> None:
        """Wait for what is being tidied up."""
        await self._writers.close()

    # --- one part

    async def _append(self, taken: Taken, writer: ResumableWriter, part: Part, body: Body) -> Standing:
        if part.size > 0:
            await self._uploads.check_room(part.size)
            async with self._uploads.place(taken.at.tenant, part.size, body):
                await self._uploads.receive(writer, body, size=part.size)
        offset = await writer.checkpoint()
        if offset != part.offset + part.size:
            msg = f"the part ended at {offset}, not at {part.offset + part.size}"
            raise InvalidRequest(msg)
        if part.complete:
            await self._finish(taken, writer)
        else:
            await self._writers.note(taken, writer)
        return Standing(state=UploadState(offset=offset, complete=part.complete), size=taken.size)

    async def _finish(self, taken: Taken, writer: ResumableWriter) -> None:
        progress = self._writers.progress(taken, writer)
        arrival = taken.arrival(progress.now)
        try:
            await verify(writer, digest=taken.digest, size=taken.size)
        except DigestMismatch as error:
            await self._metadata.write(_fail, (progress, arrival, error.code))
            await writer.cancel()
            await self._metadata.write(_end, taken.id)
            raise
        await writer.commit(taken.key)
        if await self._metadata.write(_complete, (progress, arrival)):
            self._observer.blob_stored(size=taken.size, seconds=0)
        else:
            await self._blobs.remove(taken.key)


async def _require_offset(writer: ResumableWriter, part: Part) -> None:
    if part.offset != writer.size:
        offset = await writer.checkpoint()
        msg = f"the upload stands at {offset}, the part begins at {part.offset}"
        raise UploadOffsetMismatch(msg, expected=offset)


def _whole(taken: Taken) -> Standing:
    return Standing(state=UploadState(offset=taken.size, complete=True), size=taken.size)
