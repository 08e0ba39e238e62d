"""The right to write an upload in parts: taken from whoever has it, used, watched and given back.

Three things keep two writers apart.  The epoch in the database says whose changes count, in all processes.  The lock of
the bytes lets one writer touch them at a time.  And who is taken over from in the same process is cut off at once
(`upload_holders`); in another process it notices within a second or two, and until then the next one waits.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from staging_protocol.errors import StagingError, Unavailable
from staging_server.blobs.base import BlobStore, ResumableWriter
from staging_server.metadata import resumption
from staging_server.metadata.base import Metadata, one_by_one
from staging_server.metadata.resumption import Progress, Take, Taken, UploadAt
from staging_server.metadata.upload_endings import Ending
from staging_server.owned import owned
from staging_server.tenants import Caller
from staging_server.times import Clock
from staging_server.uploads.holders import Holder, Holders, superseded
from staging_server.uploads.tidying import Tidying, remove_bytes, remove_ended

_LOOK_EVERY: Final = 1.0
"""Seconds after which a writer looks whether another process has taken its upload over."""

_NOTE_EVERY: Final = 15
"""Such looks after which it writes down how far it came, so that a long part is not taken for an abandoned one."""

_WAIT_FOR_BYTES: Final = 10.0
"""Seconds in which whoever was taken over from has to let go of the bytes: it looks every second, and a write to a busy
disk takes its time."""

_take = one_by_one(resumption.take)
_note = one_by_one(resumption.note)


class UploadWriters:
    """Those of this process."""

    def __init__(self, *, metadata: Metadata, blobs: BlobStore, clock: Clock) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._clock = clock
        self._holders = Holders()
        self._tidying = Tidying()

    async def take(self, at: UploadAt, *, caller: Caller) -> Taken:
        """Take an upload over from whoever writes it.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        taken = await self._metadata.write(_take, Take(at=at, caller=caller, now=self._clock()))
        if taken.complete:
            self._holders.cut(taken.id)
        if taken.over:
            # The tenant has the blob by now from elsewhere.
            work = remove_bytes(Ending(id=taken.id, key=taken.key), metadata=self._metadata, blobs=self._blobs)
            await self._tidying.to_its_end(work, upload=taken.id)
        return taken

    async def remove(self, ending: Ending) -> None:
        """Cut off who writes an upload that ended, and remove it; this goes on when the request is cancelled."""
        self._holders.cut(ending.id)
        work = remove_ended(ending, metadata=self._metadata, blobs=self._blobs)
        await self._tidying.to_its_end(work, upload=ending.id)

    @asynccontextmanager
    async def writer(self, taken: Taken) -> AsyncIterator[ResumableWriter]:
        """Have the bytes of an upload, once nobody else has them; they are let go of and kept in any case.

        Raises:
            UploadSuperseded: somebody took the upload over; raised in the middle of whatever is waited for.
            Unavailable: who was taken over from does not let go.
        """
        async with self._holders.hold(taken.id, epoch=taken.epoch) as holder:
            writer = await self._blobs.resume(taken.id, key=taken.key)
            with self._tidying.waited_for():
                try:
                    await _open(writer)
                    await self._require_ours(taken)
                    await writer.claim()
                    async with owned(self._watch(taken, writer, holder)), self._noted(taken, writer):
                        yield writer
                finally:
                    await self._tidying.to_its_end(writer.park(), upload=taken.id)

    async def note(self, taken: Taken, writer: ResumableWriter) -> None:
        """Write down how far it came.

        Raises:
            UploadSuperseded: somebody took the upload over.
        """
        await self._metadata.write(_note, self.progress(taken, writer))

    def progress(self, taken: Taken, writer: ResumableWriter) -> Progress:
        """Return how far it came."""
        return Progress(id=taken.id, epoch=taken.epoch, arrived=writer.size, now=self._clock())

    async def close(self) -> None:
        """Cut off who is still writing, and wait until all bytes are let go of and all is tidied up."""
        self._holders.cut_all()
        await self._tidying.close()

    async def _watch(self, taken: Taken, writer: ResumableWriter, holder: Holder) -> None:
        """Look whether another process has taken the upload over, and cut its holder off here then."""
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            looks += 1
            # A database that does not answer ends nothing here: the holder has to ask it at its end.
            with suppress(StagingError):
                if await self._metadata.read(resumption.find_epoch, taken.id) != taken.epoch:
                    holder.cut()
                    return
                if looks % _NOTE_EVERY == 0:
                    await self.note(taken, writer)

    async def _require_ours(self, taken: Taken) -> None:
        """Make sure that the upload was not taken over, and completed, while its bytes were waited for.

        Who has the bytes and asks then may change them: whoever takes the upload over later has to wait for them, and
        whoever had them before can have them named by no row any more.
        """
        if await self._metadata.read(resumption.find_epoch, taken.id) != taken.epoch:
            raise superseded()

    @asynccontextmanager
    async def _noted(self, taken: Taken, writer: ResumableWriter) -> AsyncIterator[None]:
        """Write down how far it came when it breaks off; otherwise whoever brings it to an end does."""
        try:
            yield
        except BaseException:
            await self._tidying.to_its_end(self._try_to_note(taken, writer), upload=taken.id)
            raise

    async def _try_to_note(self, taken: Taken, writer: ResumableWriter) -> None:
        # Taken over or ended: others know how far it came.
        with suppress(StagingError):
            await self.note(taken, writer)


async def _open(writer: ResumableWriter) -> None:
    pause = 0.005
    try:
        async with asyncio.timeout(_WAIT_FOR_BYTES):
            while not await writer.open():
                await asyncio.sleep(pause)
                pause = min(2 * pause, 0.25)
    except TimeoutError as error:
        raise Unavailable("the request before has not let go of this upload yet", retry_after=1) from error
