"""The part of a sweep that gives up unused blobs and removes their bytes, in the steps of `metadata.blob_deletion`."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from staging_server.blobs.base import BlobStore
from staging_server.metadata import blob_candidates, blob_deletion
from staging_server.metadata.base import Metadata, one_by_one
from staging_server.metadata.blob_candidates import Deadline, Doomed, LongestUnused
from staging_server.metadata.blob_deletion import BlobStep, GiveUp
from staging_server.metadata.leases import SweepLease
from staging_server.retention.known_policies import KnownPolicies
from staging_server.retention.sweep_batches import Batches

_BATCH: Final = 128
"""Rows looked up and changed at once: two transactions of the writer, so that requests get their turn in between."""

_give_up = one_by_one(blob_deletion.give_up)
_mark = one_by_one(blob_deletion.mark_deleting)
_forget = one_by_one(blob_deletion.forget)
_forget_wanted = one_by_one(blob_deletion.forget_wanted)


class BlobSweep:
    """Removes blobs; of one store.  `grace` lies between the last giving up and the removal."""

    def __init__(self, *, metadata: Metadata, blobs: BlobStore, policies: KnownPolicies, grace: timedelta) -> None:
        self._metadata = metadata
        self._blobs = blobs
        self._policies = policies
        self._grace = grace
        self._batches = Batches(metadata)

    async def run(self, lease: SweepLease, now: datetime) -> AsyncIterator[Doomed]:
        """Do all steps that are due, and yield the blobs whose bytes are gone."""
        for tenant in await self._metadata.read(blob_candidates.find_longest_unused, None):
            await self._give_up(tenant, lease, now)
        async for blob in self._delete(lease, now):
            yield blob
        async for digests in self._batches.of(blob_candidates.find_never_came, _BATCH):
            await self._batches.write(_forget_wanted, [(digest, lease) for digest in digests], lease=lease)

    async def _give_up(self, tenant: LongestUnused, lease: SweepLease, now: datetime) -> None:
        until = now - self._policies.of(tenant.namespace).blob_keep
        if tenant.last_used > until:
            return
        deadline = Deadline(until=until, at_most=_BATCH, tenant_id=tenant.tenant_id)
        async for claims in self._batches.of(blob_candidates.find_past_keep, deadline):
            over = [
                GiveUp(tenant_id=tenant_id, digest=digest, unused_until=until, now=now, lease=lease)
                for tenant_id, digest in claims
            ]
            await self._batches.write(_give_up, over, lease=lease)

    async def _delete(self, lease: SweepLease, now: datetime) -> AsyncIterator[Doomed]:
        until = now - self._grace
        async for interrupted in self._batches.of(blob_candidates.find_interrupted, _BATCH):
            async for blob in self._remove(_steps(interrupted, until, now, lease)):
                yield blob
        async for due in self._batches.of(blob_candidates.find_due, Deadline(until=until, at_most=_BATCH)):
            steps = _steps(due, until, now, lease)
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
                yield step.blob


def _steps(blobs: Sequence[Doomed], until: datetime, now: datetime, lease: SweepLease) -> list[BlobStep]:
    return [BlobStep(blob=blob, unused_until=until, now=now, lease=lease) for blob in blobs]
