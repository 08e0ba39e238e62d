"""Tidying up after uploads: it goes to its end, also when the request that began it is cancelled.

Whatever is to be removed has a row until it is gone, so what cannot be removed now is found by the next sweep.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog

from staging_protocol.errors import StagingError
from staging_protocol.uploads import UploadId
from staging_server.blobs.base import BlobStore
from staging_server.metadata import arrivals
from staging_server.metadata.base import Metadata, one_by_one
from staging_server.metadata.upload_endings import Ending

_log: Final = structlog.get_logger()

_end = one_by_one(arrivals.end_upload)
_named = one_by_one(arrivals.is_named)


class Tidying:
    """What is being tidied up, so that somebody can wait for it."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Future[None]] = set()

    async def to_its_end(self, work: Coroutine[Any, Any, None], *, upload: UploadId) -> None:
        """Do `work`, which goes on when the request is cancelled; raises what it raises."""
        task = asyncio.create_task(_told(work, upload=upload), name="tidy upload")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.shield(task)

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """Keep `close` waiting for the block."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.add(over)
        try:
            yield
        finally:
            self._under_way.discard(over)
            over.set_result(None)

    async def close(self) -> None:
        """Wait until all is tidied up."""
        while self._under_way:
            await asyncio.wait(self._under_way)


async def remove_ended(ending: Ending, *, metadata: Metadata, blobs: BlobStore) -> None:
    """Remove the bytes of an upload that ended, wherever they are, and then its row."""
    await remove_bytes(ending, metadata=metadata, blobs=blobs)
    await metadata.write(_end, ending.id)


async def remove_bytes(ending: Ending, *, metadata: Metadata, blobs: BlobStore) -> None:
    """Remove the bytes of an upload, unless they are a blob: who was cut off may not know that they became one."""
    await blobs.forget(ending.id)
    # The writer's next transaction knows what the last one did.
    if not await metadata.write(_named, ending.key):
        await blobs.remove(ending.key)


async def _told(work: Coroutine[Any, Any, None], *, upload: UploadId) -> None:
    try:
        await work
    except StagingError as error:
        _log.warning("upload.left-over", upload=upload, error=error.detail)
        raise
