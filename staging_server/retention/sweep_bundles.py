"""The part of a sweep that looks at bundles, and ends those that nothing keeps.

    changed    what an event of Kubernetes named; after a list was made anew all that it claims, and what was put off
    due        whose next look has come
    sooner     all that wait for one, after a policy has changed

Kubernetes is never asked here, only what its watches told (`Sights`); a bundle whose absence waits for confirmation
makes the next list come soon, one for all bundles.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from staging_protocol.owners import OwnerReference
from staging_server.metadata import looks, marks
from staging_server.metadata.base import Metadata, Query, one_by_one
from staging_server.metadata.endings import Ended
from staging_server.metadata.leases import SweepLease
from staging_server.metadata.lives import changes, judge
from staging_server.metadata.looks import After, Candidate, Look
from staging_server.retention.claims import ASK_AGAIN
from staging_server.retention.known_policies import KnownPolicies
from staging_server.retention.sights import Changes, Sights
from staging_server.retention.sweep_batches import Batches
from staging_server.times import Clock

_BATCH: Final = 128
"""Rows looked at and changed at once: two transactions of the writer, so that requests get their turn in between."""

_PAGE: Final = 500
"""Rows compared at once, most of which have not changed."""

_COMPARE_EVERY: Final = timedelta(hours=1)
"""All that Kubernetes claims is compared this often, even if every event said that nothing has changed."""

_look = one_by_one(looks.look)
_look_sooner = one_by_one(looks.look_sooner)
_set_mark = one_by_one(marks.set_mark)


@dataclass(frozen=True, slots=True)
class _Sieve:
    """Candidates, and which of them to keep; sifted where they are read, so that the loop need not wait for it."""

    query: Query[Any, Sequence[Candidate]]
    argument: After | Changes
    keep: Callable[[Candidate], bool]


@dataclass(frozen=True, slots=True)
class _Sifted:
    kept: Sequence[Candidate]
    last: int | None


class BundleSweep:
    """Looks at bundles; of one process."""

    def __init__(self, *, metadata: Metadata, policies: KnownPolicies, sights: Sights, clock: Clock) -> None:
        self._metadata = metadata
        self._policies = policies
        self._sights = sights
        self._clock = clock
        self._batches = Batches(metadata)
        self._changes = Changes()
        self._compared: datetime | None = None

    async def run(self, lease: SweepLease, now: datetime) -> AsyncIterator[Ended]:
        """Look at what has to be looked at, and yield what ended."""
        await self._follow_policies(lease, now)
        waits: set[OwnerReference | None] = set()
        async for candidates in self._to_look_at(now):
            for looked in await self._batches.write(_look, self._looks(candidates, lease), lease=lease):
                if looked is None:
                    continue
                if looked.ended is not None:
                    yield looked.ended
                elif looked.list_after is not None and looked.list_after <= self._clock():
                    waits.add(looked.owner)
        if waits:
            self._sights.list_again({(owner.api_version, owner.kind) for owner in waits if owner is not None})

    async def _to_look_at(self, now: datetime) -> AsyncIterator[Sequence[Candidate]]:
        # Kept until all of them were looked at: what fails now is tried again by the next sweep.
        self._changes = taken = _both(self._changes, self._sights.take_changes())
        if self._is_time_to_compare(now):
            # What happened while another process had the lead, or wrote what was not so any more.
            self._changes = taken = _both(taken, Changes(all=True))
        async for some in self._changed(taken, now):
            for start in range(0, len(some), _BATCH):
                yield some[start : start + _BATCH]
        self._changes = Changes()
        self._compared = now if taken.all else self._compared
        async for due in self._batches.of(looks.find_due, (now, _BATCH)):
            yield due

    async def _changed(self, taken: Changes, now: datetime) -> AsyncIterator[Sequence[Candidate]]:
        if taken.bundles or taken.owners:
            named = await self._metadata.read(_sifted, _Sieve(looks.find_named, taken, self._is_new))
            yield named.kept
        if taken.all:
            async for page in self._pages(looks.find_claimed, keep=self._is_new):
                yield page
            async for page in self._pages(looks.find_soon, keep=self._is_new, until=now + ASK_AGAIN):
                yield page

    def _is_time_to_compare(self, now: datetime) -> bool:
        return self._compared is None or now - self._compared >= _COMPARE_EVERY

    async def _follow_policies(self, lease: SweepLease, now: datetime) -> None:
        policies = self._policies.now
        is_followed = await self._metadata.read(marks.find_mark, marks.POLICIES) == policies.fingerprint
        # Bundles may have been made since by a process that knew the present policies later.
        if is_followed and not self._is_time_to_compare(now):
            return

        def is_sooner(one: Candidate) -> bool:
            return looks.is_sooner(one, policies, self._clock())

        async for sooner in self._pages(looks.find_scheduled, keep=is_sooner):
            for start in range(0, len(sooner), _BATCH):
                some = self._looks(sooner[start : start + _BATCH], lease)
                await self._batches.write(_look_sooner, some, lease=lease)
        await self._metadata.write(_set_mark, (marks.POLICIES, policies.fingerprint))

    async def _pages(
        self,
        query: Query[After, Sequence[Candidate]],
        *,
        keep: Callable[[Candidate], bool],
        until: datetime | None = None,
    ) -> AsyncIterator[Sequence[Candidate]]:
        after: After | None = After(at_most=_PAGE, until=until)
        while after is not None:
            page = await self._metadata.read(_sifted, _Sieve(query, after, keep))
            yield page.kept
            after = None if page.last is None else After(number=page.last, at_most=_PAGE, until=until)

    def _is_new(self, one: Candidate) -> bool:
        policy = self._policies.of(one.tenant.namespace)
        found = judge(one.row, one.tenant, sights=self._sights, policy=policy, now=self._clock())
        return changes(one.row, found)

    def _looks(self, candidates: Sequence[Candidate], lease: SweepLease) -> list[Look]:
        policies = self._policies.now
        return [
            Look(at=one.at, clock=self._clock, policies=policies, sights=self._sights, lease=lease)
            for one in candidates
        ]


def _both(one: Changes, other: Changes) -> Changes:
    return Changes(bundles=one.bundles | other.bundles, owners=one.owners | other.owners, all=one.all or other.all)


def _sifted(connection: Connection, sieve: _Sieve) -> _Sifted:
    found = sieve.query(connection, sieve.argument)
    last = found[-1].row.number if found else None
    return _Sifted([one for one in found if sieve.keep(one)], last)
