"""The loop that acts on what `retention` decides: ends bundles, gives up and deletes blobs, removes remains.

Each deletion is a transaction of its own that looks again at what it deletes, and at the lease: so two sweepers at
once, a crash in the middle, and a create at the same moment are all harmless.  The cost grows with what is due, not
with what there is; only counts are reconciled over everything, once a day, and stray files are searched for a few
folders at a time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from staging_protocol.api import Sweep, SweptBlob, SweptBundle
from staging_protocol.errors import Unavailable
from staging_protocol.tokens import BundleId
from staging_server.activity import Activity
from staging_server.audit import SWEEPER
from staging_server.blobs.base import BlobStore
from staging_server.bundles import policy_of
from staging_server.leftovers import Leftovers
from staging_server.metadata import blob_deletion, endings, leases, remains, usage
from staging_server.metadata.base import Metadata, one_by_one
from staging_server.metadata.blob_deletion import BlobStep, Deadline, Doomed, GiveUp
from staging_server.metadata.changes import Change
from staging_server.metadata.endings import Candidate, Ended
from staging_server.metadata.leases import SweepLease
from staging_server.metadata.remains import Ages
from staging_server.metadata.rows import BundleAt, facts_of
from staging_server.observer import SILENT, Observer
from staging_server.readers import Readers
from staging_server.reserve import Reserve
from staging_server.retention import decide
from staging_server.settings import Settings
from staging_server.sweep_batches import Batches
from staging_server.tenants import Caller
from staging_server.times import Clock, micros, utc_now

_log: Final = structlog.get_logger("sweeper")

_BATCH: Final = 128
"""Rows looked up and changed at once: two transactions of the writer, so that requests get their turn in between."""

_ALL: Final = 100_000
"""Rows that a dry run looks at."""

_FOLDERS: Final = 4
"""Of 256 folders searched for stray files in each sweep: with a sweep a minute, all of them in an hour."""

_RECONCILE_EVERY: Final = timedelta(days=1)

_take = one_by_one(leases.take)
_give_back = one_by_one(leases.give_back)
_expire = one_by_one(endings.expire_bundle)
_give_up = one_by_one(blob_deletion.give_up)
_mark = one_by_one(blob_deletion.mark_deleting)
_forget = one_by_one(blob_deletion.forget)
_forget_wanted = one_by_one(blob_deletion.forget_wanted)
_drop_old = one_by_one(remains.drop_old)
_reconcile = one_by_one(usage.reconcile)


class Sweeper:
    """Sweeps on request and in its loop."""

    def __init__(
        self,
        *,
        metadata: Metadata,
        blobs: BlobStore,
        activity: Activity,
        readers: Readers,
        settings: Settings,
        reserve: Reserve | None = None,
        clock: Clock = utc_now,
        observer: Observer = SILENT,
    ) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._activity = activity
        self._readers = readers
        self._settings = settings
        self._reserve = reserve or Reserve(None)
        self._policy = policy_of(settings.retention)
        self._clock = clock
        self._observer = observer
        self._one_at_a_time = asyncio.Lock()
        self._batches = Batches(metadata)
        self.leftovers = Leftovers(metadata=metadata, blobs=blobs, retention=settings.retention)
        self._reconciled: datetime | None = None
        self.last_success: datetime | None = None
        """When a sweep last went through; None before the first."""

    async def sweep(self, *, dry_run: bool, caller: Caller) -> Sweep:
        """Remove what is due, or say what would be.

        Raises:
            Unavailable: another process sweeps, or the database does not answer.
        """
        if dry_run:
            return await self._foresee()
        async with self._one_at_a_time:
            started = time.monotonic()
            # Deleting needs a little room, too.
            await asyncio.to_thread(self._reserve.give_if_full)
            lease = SweepLease(BundleId.generate())
            if not await self._metadata.write(_take, lease):
                raise Unavailable("another process is sweeping", retry_after=10)
            try:
                done = await self._sweep(lease, self._clock())
            finally:
                await self._metadata.write(_give_back, lease)
            await asyncio.to_thread(self._reserve.keep)
            self._tell(done, caller, seconds=time.monotonic() - started)
            return done

    async def run(self) -> None:
        """Sweep again and again, until cancelled; no failure ends this."""
        while True:
            try:
                await self.sweep(dry_run=False, caller=SWEEPER)
            except Unavailable as error:
                # The usual case: another replica is at it.
                _log.info("sweep.skipped", reason=error.detail)
            except Exception:  # noqa: BLE001 - the outermost loop: a sweep that fails must not be the last one
                self._observer.sweep_failed()
                # Writing a traceback reads source files, which the event loop must not wait for.
                await _log.aexception("sweep.failed")
            await asyncio.sleep(self._settings.retention.sweep_every)

    # --- the steps, in their order

    async def _sweep(self, lease: SweepLease, now: datetime) -> Sweep:
        await self._activity.flush()
        ended = [bundle async for bundle in self._expire(lease, now)]
        await self._give_up(lease, now)
        removed = [blob async for blob in self._delete(lease, now)]
        await self._forget_wanted(lease)
        await self.leftovers.tidy_uploads(lease, now)
        await self.leftovers.remove_strays(folders=_FOLDERS)
        await self._drop_old(now)
        await self._reconcile(now)
        return _swept(ended, removed, dry_run=False)

    async def _expire(self, lease: SweepLease, now: datetime) -> AsyncIterator[Ended]:
        async for candidates in self._batches.of(endings.find_candidates, (now, _BATCH)):
            changes = [
                (Change(at=BundleAt(found.tenant, found.id), caller=SWEEPER, now=now, policy=self._policy), lease)
                for found in candidates
            ]
            for ended in await self._batches.write(_expire, changes, lease=lease):
                if ended is not None:
                    self._readers.forget()
                    self._observer.bundle_ended(reason="expired")
                    yield ended

    async def _give_up(self, lease: SweepLease, now: datetime) -> None:
        until = now - timedelta(seconds=self._settings.retention.blob_keep)
        deadline = Deadline(until=until, at_most=_BATCH)
        async for claims in self._batches.of(blob_deletion.find_past_keep, deadline):
            over = [
                GiveUp(tenant_id=tenant_id, digest=digest, unused_until=until, now=now, lease=lease)
                for tenant_id, digest in claims
            ]
            await self._batches.write(_give_up, over, lease=lease)

    async def _delete(self, lease: SweepLease, now: datetime) -> AsyncIterator[Doomed]:
        until = now - timedelta(seconds=self._settings.retention.blob_grace)
        async for interrupted in self._batches.of(blob_deletion.find_interrupted, _BATCH):
            async for blob in self._remove(self._steps(interrupted, until, now, lease)):
                yield blob
        async for due in self._batches.of(blob_deletion.find_due, Deadline(until=until, at_most=_BATCH)):
            steps = self._steps(due, until, now, lease)
            marked = await self._batches.write(_mark, steps, lease=lease)
            async for blob in self._remove([step for step, done in zip(steps, marked, strict=True) if done]):
                yield blob

    async def _remove(self, steps: Sequence[BlobStep]) -> AsyncIterator[Doomed]:
        """Remove the bytes of blobs whose state `deleting` is committed, and then their rows."""
        for step in steps:
            await self._blobs.remove(step.blob.key)
        forgotten = await self._batches.write(_forget, steps, lease=steps[0].lease) if steps else []
        for step, done in zip(steps, forgotten, strict=True):
            if done:
                self._observer.blob_removed(size=step.blob.size)
                yield step.blob

    async def _forget_wanted(self, lease: SweepLease) -> None:
        async for digests in self._batches.of(blob_deletion.find_never_came, _BATCH):
            await self._batches.write(_forget_wanted, [(digest, lease) for digest in digests], lease=lease)

    async def _drop_old(self, now: datetime) -> None:
        retention = self._settings.retention
        ages = Ages(
            tombstones=micros(now - timedelta(seconds=retention.tombstones)),
            keys=micros(now - timedelta(seconds=retention.idempotency_keys)),
            audit=micros(now - timedelta(seconds=retention.audit)),
        )
        while await self._metadata.write(_drop_old, ages):
            pass

    async def _reconcile(self, now: datetime) -> None:
        if self._reconciled is None or now - self._reconciled >= _RECONCILE_EVERY:
            await self._metadata.write(_reconcile, micros(now))
            self._reconciled = now

    # --- inside

    async def _foresee(self) -> Sweep:
        await self._activity.flush()
        now = self._clock()
        ended = [
            _would_end(found, reason=decision.reason)
            for found in await self._metadata.read(endings.find_candidates, (now, _ALL))
            if not (decision := decide(facts_of(found.row), self._policy, now)).keep
        ]
        until = now - timedelta(seconds=self._settings.retention.blob_grace)
        removed = [
            *await self._metadata.read(blob_deletion.find_interrupted, _ALL),
            *await self._metadata.read(blob_deletion.find_due, Deadline(until=until, at_most=_ALL)),
        ]
        return _swept(ended, removed, dry_run=True)

    def _steps(self, blobs: Sequence[Doomed], until: datetime, now: datetime, lease: SweepLease) -> list[BlobStep]:
        return [BlobStep(blob=blob, unused_until=until, now=now, lease=lease) for blob in blobs]

    def _tell(self, done: Sweep, caller: Caller, *, seconds: float) -> None:
        self.last_success = self._clock()
        self._observer.sweep_done(seconds=seconds, ended=len(done.bundles), freed=done.freed)
        if done.bundles or done.blobs:
            _log.info("sweep.done", by=caller.name, ended=len(done.bundles), blobs=len(done.blobs), freed=done.freed)


def _would_end(found: Candidate, *, reason: str) -> Ended:
    row = found.row
    return Ended(id=found.id, namespace=row.namespace, application=row.application, size=row.size, reason=reason)


def _swept(ended: Sequence[Ended], removed: Sequence[Doomed], *, dry_run: bool) -> Sweep:
    return Sweep(
        dry_run=dry_run,
        bundles=tuple(
            SweptBundle(
                id=bundle.id,
                namespace=bundle.namespace,
                application=bundle.application,
                size=bundle.size,
                reason=bundle.reason,
            )
            for bundle in ended
        ),
        blobs=tuple(SweptBlob(digest=blob.digest, size=blob.size) for blob in removed),
        freed=sum(blob.size for blob in removed),
    )
