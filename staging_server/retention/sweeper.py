"""The loop that acts on what `retention` decides: ends bundles, gives up and deletes blobs, removes remains.

Each deletion is a transaction of its own that looks again at what it deletes, and at the lease: so two sweepers at
once, a crash in the middle, and a create at the same moment are all harmless.  The cost grows with what is due, not
with what there is; only counts are reconciled over everything, once a day, and stray files are searched for a few
folders at a time.

    sweep_bundles   which bundles are looked at, and end
    sweep_blobs     which blobs go
    foresight       what would go, without changing anything
"""

import asyncio
import time
from datetime import datetime, timedelta
from typing import Final

import structlog

from staging_protocol.api.operators import Sweep
from staging_protocol.errors import Unavailable
from staging_protocol.tokens import BundleId
from staging_server.activity import Activity
from staging_server.audit import SWEEPER
from staging_server.blobs.base import BlobStore
from staging_server.leftovers import Leftovers
from staging_server.metadata import leases, marks, remains, usage
from staging_server.metadata.base import Metadata, one_by_one
from staging_server.metadata.blob_candidates import Doomed
from staging_server.metadata.endings import Ended
from staging_server.metadata.leases import SweepLease
from staging_server.metadata.remains import Ages
from staging_server.observer import SILENT, Observer
from staging_server.readers import Readers
from staging_server.reserve import Reserve
from staging_server.retention.foresight import Foresight, as_sweep
from staging_server.retention.known_policies import KnownPolicies
from staging_server.retention.sights import UNOBSERVED, Sights
from staging_server.retention.sweep_blobs import BlobSweep
from staging_server.retention.sweep_bundles import BundleSweep
from staging_server.settings import Settings
from staging_server.tenants import Caller
from staging_server.times import Clock, micros, utc_now

_log: Final = structlog.get_logger("sweeper")

_FOLDERS: Final = 4
"""Of 256 folders searched for stray files in each sweep: with a sweep a minute, all of them in an hour."""

_RECONCILE_EVERY: Final = timedelta(days=1)

_take = one_by_one(leases.take)
_give_back = one_by_one(leases.give_back)
_drop_old = one_by_one(remains.drop_old)
_reconcile = one_by_one(usage.reconcile)
_set_mark = one_by_one(marks.set_mark)


class Sweeper:
    """Sweeps on request, and for the lead."""

    def __init__(
        self,
        *,
        metadata: Metadata,
        blobs: BlobStore,
        activity: Activity,
        readers: Readers,
        settings: Settings,
        policies: KnownPolicies | None = None,
        sights: Sights = UNOBSERVED,
        reserve: Reserve | None = None,
        clock: Clock = utc_now,
        observer: Observer = SILENT,
    ) -> None:
        policies = policies or KnownPolicies(settings)
        self._metadata = metadata
        self._activity = activity
        self._readers = readers
        self._settings = settings
        self._reserve = reserve or Reserve(None)
        self._clock = clock
        self._observer = observer
        self._one_at_a_time = asyncio.Lock()
        self._bundles = BundleSweep(metadata=metadata, policies=policies, sights=sights, clock=clock)
        grace = timedelta(seconds=settings.retention.blob_grace)
        self._blobs = BlobSweep(metadata=metadata, blobs=blobs, policies=policies, grace=grace)
        self._foresight = Foresight(metadata=metadata, policies=policies, sights=sights, grace=grace, clock=clock)
        self.leftovers = Leftovers(metadata=metadata, blobs=blobs, retention=settings.retention)
        self.last_success: datetime | None = None
        """When a sweep last went through; None before the first."""

    async def sweep(self, *, dry_run: bool, caller: Caller) -> Sweep:
        """Remove what is due, or say what would be.

        Raises:
            Unavailable: another process sweeps, or the database does not answer.
        """
        if dry_run:
            return await self._foresight.sweep(used=self._activity.last_use)
        async with self._one_at_a_time:
            started = time.monotonic()
            # Deleting needs a little room, too.
            await asyncio.to_thread(self._reserve.give_if_full)
            lease = SweepLease(BundleId.generate())
            try:
                if not await self._metadata.write(_take, lease):
                    raise Unavailable("another process is sweeping", retry_after=10)
                done = await self._sweep(lease, self._clock())
            finally:
                # Also when this was cancelled while it took the lease, which may have been written by then.
                await self._metadata.write(_give_back, lease)
            await asyncio.to_thread(self._reserve.keep)
            self._tell(done, caller, seconds=time.monotonic() - started)
            return done

    async def sweep_or_tell(self) -> None:
        """Sweep for the loop: a failure is told, and must not be the end of it."""
        try:
            await self.sweep(dry_run=False, caller=SWEEPER)
        except Unavailable as error:
            # The usual case: another replica is at it.
            _log.info("sweep.skipped", reason=error.detail)
        except Exception:  # noqa: BLE001 - the outermost loop: a sweep that fails must not be the last one
            self._observer.sweep_failed()
            # Writing a traceback reads source files, which the event loop must not wait for.
            await _log.aexception("sweep.failed")

    # --- the steps, in their order

    async def _sweep(self, lease: SweepLease, now: datetime) -> Sweep:
        await self._activity.flush()
        await self._reconcile_if_due(now)
        ended = [self._told(bundle) async for bundle in self._bundles.run(lease, now)]
        removed = [self._removed(blob) async for blob in self._blobs.run(lease, now)]
        await self.leftovers.tidy_uploads(lease, now)
        await self.leftovers.remove_strays(folders=_FOLDERS)
        await self._drop_old(now)
        return as_sweep(ended, removed, dry_run=False)

    def _told(self, bundle: Ended) -> Ended:
        self._readers.forget()
        self._observer.bundle_ended(reason="expired")
        return bundle

    def _removed(self, blob: Doomed) -> Doomed:
        self._observer.blob_removed(size=blob.size, reason="unknown" if blob.why is None else blob.why.value)
        return blob

    async def _drop_old(self, now: datetime) -> None:
        retention = self._settings.retention
        ages = Ages(
            tombstones=micros(now - timedelta(seconds=retention.tombstones)),
            keys=micros(now - timedelta(seconds=retention.idempotency_keys)),
            audit=micros(now - timedelta(seconds=retention.audit)),
        )
        while await self._metadata.write(_drop_old, ages):
            pass

    async def _reconcile_if_due(self, now: datetime) -> None:
        mark = await self._metadata.read(marks.find_mark, marks.RECONCILED)
        if mark is not None and micros(now) - int(mark) < _RECONCILE_EVERY // timedelta(microseconds=1):
            return
        await self._metadata.write(_reconcile, micros(now))
        await self._metadata.write(_set_mark, (marks.RECONCILED, str(micros(now))))

    def _tell(self, done: Sweep, caller: Caller, *, seconds: float) -> None:
        self.last_success = self._clock()
        self._observer.sweep_done(seconds=seconds, ended=len(done.bundles), freed=done.freed)
        if done.bundles or done.blobs:
            _log.info("sweep.done", by=caller.name, ended=len(done.bundles), blobs=len(done.blobs), freed=done.freed)
