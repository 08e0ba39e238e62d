"""The lead: one process watches Kubernetes and sweeps in a loop; the others stand by.

A lease row says who (`metadata.leases`).  Whoever has it opens the watch, and closes it before somebody else can have
the lease: the lead renews it far more often than it lasts, and lets go when it could not for most of that time.
Two leads at once, for the moment of a slow clock, are harmless: every deletion takes the lease of a sweep besides, and
looks again.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import structlog

from staging_protocol.errors import StagingError
from staging_protocol.owners import OwnerReference
from staging_protocol.tokens import BundleId
from staging_server.metadata import leases
from staging_server.metadata.base import Metadata, one_by_one
from staging_server.metadata.leases import LEAD, SweepLease
from staging_server.observer import SILENT, Observer
from staging_server.owned import owned
from staging_server.retention.sights import Changes, Sight, Sights
from staging_server.retention.sweeper import Sweeper
from staging_server.tenants import Tenant

_log: Final = structlog.get_logger("lead")

OpenSights = Callable[[Callable[[], None]], AbstractAsyncContextManager[Sights]]
"""Begins to watch, and returns at once: nothing is known before the first lists.

It calls what it is given, on the event loop, whenever something becomes known that a sweep had to leave."""

_TRY_EVERY: Final = 15.0
"""Seconds between two attempts to take or renew the lead, an eighth of how long it lasts."""

_LET_GO_AFTER: Final = leases.SECONDS * 0.75
"""Seconds without a renewal after which the lead lets go by itself, before the database gives it to another one."""

_AT_LEAST: Final = 2.0
"""Seconds between two sweeps: what becomes known at a start, kind by kind, is found by one or two of them, and a watch
that comes and goes does not make them run all the time."""

_take = one_by_one(leases.take)
_give_back = one_by_one(leases.give_back)


class LeadSights:
    """What the watch of this process knows while it has the lead, and `otherwise` what is known without one."""

    def __init__(self, otherwise: Sights) -> None:
        self._otherwise = otherwise
        self._now = otherwise

    @asynccontextmanager
    async def watching(self, open_sights: OpenSights | None, *, known: Callable[[], None]) -> AsyncIterator[None]:
        """Watch, as long as the block lasts, and call `known` as `OpenSights` does."""
        if open_sights is None:
            yield
            return
        async with open_sights(known) as sights:
            self._now = sights
            try:
                yield
            finally:
                self._now = self._otherwise

    def owner(self, tenant: Tenant, reference: OwnerReference) -> Sight:
        """See `Sights.owner`."""
        return self._now.owner(tenant, reference)

    def pods(self, tenant: Tenant, bundle: BundleId) -> Sight:
        """See `Sights.pods`."""
        return self._now.pods(tenant, bundle)

    def take_changes(self) -> Changes:
        """See `Sights.take_changes`."""
        return self._now.take_changes()

    def list_again(self, kinds: Collection[tuple[str, str]] | None = None) -> None:
        """See `Sights.list_again`."""
        self._now.list_again(kinds)


class Lead:
    """Takes the lead when it is free, and sweeps while it has it."""

    def __init__(
        self,
        *,
        metadata: Metadata,
        sweeper: Sweeper,
        sights: LeadSights,
        open_sights: OpenSights | None = None,
        sweep_every: float,
        try_every: float = _TRY_EVERY,
        observer: Observer = SILENT,
    ) -> None:
        self._metadata = metadata
        self._sweeper = sweeper
        self._sights = sights
        self._open_sights = open_sights
        self._sweep_every = sweep_every
        self._try_every = min(try_every, sweep_every)
        self._observer = observer
        self._lease = SweepLease(BundleId.generate(), LEAD)
        self._renewed = 0.0

    async def run(self) -> None:
        """Take the lead again and again, until cancelled."""
        try:
            while True:
                if await self._has_it():
                    await self._lead()
                await asyncio.sleep(self._try_every)
        finally:
            # Also when this was cancelled while it took the lead, which may have been written by then.
            with contextlib.suppress(StagingError):  # it ends by itself
                await self._metadata.write(_give_back, self._lease)

    async def _lead(self) -> None:
        self._observer.lead_held(held=True)
        _log.info("lead.taken")
        try:
            known = asyncio.Event()
            async with self._sights.watching(self._open_sights, known=known.set), owned(self._sweep(known)):
                while await self._has_it():  # noqa: ASYNC110 - it waits for the database's clock, which sends no events
                    await asyncio.sleep(self._try_every)
        finally:
            self._observer.lead_held(held=False)
        _log.warning("lead.lost")

    async def _sweep(self, known: asyncio.Event) -> None:
        """Sweep in the interval, and sooner when more of Kubernetes is known than before."""
        while True:
            known.clear()
            await self._sweeper.sweep_or_tell()
            at_least = min(_AT_LEAST, self._sweep_every)
            await asyncio.sleep(at_least)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._sweep_every - at_least):
                    await known.wait()

    async def _has_it(self) -> bool:
        """Take or renew the lease; while the database does not answer, the lead is kept for as long as it is sure."""
        asked = time.monotonic()
        try:
            if await self._metadata.write(_take, self._lease):
                self._renewed = asked
                return True
        except StagingError as error:
            _log.warning("lead.not-renewed", code=error.code, detail=error.detail)
            return time.monotonic() - self._renewed < _LET_GO_AFTER
        return False


def _is_sights(sights: LeadSights) -> Sights:
    return sights
