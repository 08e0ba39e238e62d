"""How a sweep looks and writes: some rows at a time, so that requests get their turn in between."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from staging_protocol.errors import BundleExpired, NotFound
from staging_server.metadata import leases
from staging_server.metadata.base import Argument, Item, Metadata, Operation, Query, Result, one_by_one
from staging_server.metadata.leases import SweepLease

_take = one_by_one(leases.take)


class Batches:
    """Of one database."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    async def of(self, query: Query[Argument, Sequence[Item]], argument: Argument) -> AsyncIterator[Sequence[Item]]:
        """Ask again until nothing is due, or until a batch could not be changed: then the next sweep tries."""
        before: Sequence[Item] | None = None
        while (batch := await self._metadata.read(query, argument)) and batch != before:
            yield batch
            before = batch

    async def write(
        self, operation: Operation[Item, Result], items: Sequence[Item], *, lease: SweepLease
    ) -> Sequence[Result | None]:
        """Do a batch, many in one transaction; None stands for what somebody else ended meanwhile."""
        await self._metadata.write(_take, lease)
        done = await asyncio.gather(*(self._metadata.write(operation, item) for item in items), return_exceptions=True)
        for result in done:
            if isinstance(result, BaseException) and not isinstance(result, (NotFound, BundleExpired)):
                raise result
        return [None if isinstance(result, BaseException) else result for result in done]
