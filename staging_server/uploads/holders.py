"""Who writes which upload in this process: whoever comes later cuts off who was there before.

That only makes it quick.  What keeps two writers apart is the lock of the bytes and the epoch in the database, which
hold for all processes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from staging_protocol.errors import UploadSuperseded
from staging_protocol.uploads import UploadId


@dataclass(slots=True, eq=False)
class Holder:
    """A request that writes an upload; `cut` ends it in the middle of whatever it waits for."""

    epoch: int
    scope: asyncio.Timeout
    was_cut: bool = False
    is_over: bool = False

    def cut(self) -> None:
        """Make the request raise UploadSuperseded; harmless when it does not write any more."""
        if not self.is_over and not self.was_cut:
            self.was_cut = True
            self.scope.reschedule(asyncio.get_running_loop().time())


class Holders:
    """The newest holder of each upload."""

    def __init__(self) -> None:
        self._holders: dict[UploadId, Holder] = {}

    def cut(self, upload: UploadId) -> None:
        """Cut off whoever writes `upload`."""
        if (holder := self._holders.get(upload)) is not None:
            holder.cut()

    def cut_all(self) -> None:
        """Cut off everybody."""
        for holder in list(self._holders.values()):
            holder.cut()

    @asynccontextmanager
    async def hold(self, upload: UploadId, *, epoch: int) -> AsyncIterator[Holder]:
        """Cut off who came before, and write `upload` until somebody comes later.

        Raises:
            UploadSuperseded: somebody with a greater epoch is there, or came meanwhile.
        """
        before = self._holders.get(upload)
        if before is not None and before.epoch > epoch:
            raise superseded()
        self.cut(upload)
        try:
            async with asyncio.timeout(None) as scope:
                holder = self._holders[upload] = Holder(epoch, scope)
                try:
                    yield holder
                finally:
                    holder.is_over = True
                    if self._holders.get(upload) is holder:
                        del self._holders[upload]
        except TimeoutError as error:
            if holder.was_cut:
                raise superseded() from error
            raise


def superseded() -> UploadSuperseded:
    """Return the answer to whoever was taken over from."""
    return UploadSuperseded("another request took this upload over; ask for its offset before sending more")
