"""What a sweep would do now, without doing any of it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from staging_protocol.api.operators import Sweep, SweptBlob, SweptBundle
from staging_server.metadata import blob_candidates, looks, marks
from staging_server.metadata.base import Metadata
from staging_server.metadata.blob_candidates import Deadline, Doomed
from staging_server.metadata.endings import Ended, ended_of
from staging_server.metadata.lives import judge
from staging_server.metadata.looks import After, Candidate
from staging_server.metadata.rows import BundleAt
from staging_server.retention.deciding import Decision
from staging_server.retention.known_policies import KnownPolicies
from staging_server.retention.sights import Sights
from staging_server.times import Clock

_ALL: Final = 100_000
"""Rows that are looked at: more than anybody reads."""


class Foresight:
    """Reads only.  `grace` lies between the last giving up of a blob and its removal."""

    def __init__(
        self, *, metadata: Metadata, policies: KnownPolicies, sights: Sights, grace: timedelta, clock: Clock
    ) -> None:
        self._metadata = metadata
        self._policies = policies
        self._sights = sights
        self._grace = grace
        self._clock = clock

    async def sweep(self, *, used: Callable[[BundleAt], datetime | None] = lambda _: None) -> Sweep:
        """Return what would end and go, and why; `used` tells when a bundle was used that nobody has written yet."""
        now = self._clock()
        judged = [(one, self._decide(one, now)) for one in await self._due(now) if used(one.at) is None]
        ended = [
            ended_of(one.row, reason=_reason(decision))
            for one, decision in judged
            if not decision.keep or decision.list_after is not None
        ]
        removed = [
            *await self._metadata.read(blob_candidates.find_interrupted, _ALL),
            *await self._metadata.read(blob_candidates.find_due, Deadline(until=now - self._grace, at_most=_ALL)),
        ]
        return as_sweep(ended, removed, dry_run=True)

    async def _due(self, now: datetime) -> list[Candidate]:
        """Return what a sweep would look at, with what a policy brings forward that no sweep has followed yet."""
        due = list(await self._metadata.read(looks.find_due, (now, _ALL)))
        policies = self._policies.now
        if await self._metadata.read(marks.find_mark, marks.POLICIES) == policies.fingerprint:
            return due
        known = {one.id for one in due}
        scheduled = await self._metadata.read(looks.find_scheduled, After(at_most=_ALL))
        return due + [one for one in scheduled if one.id not in known and looks.is_sooner(one, policies, now)]

    def _decide(self, one: Candidate, now: datetime) -> Decision:
        policy = self._policies.of(one.tenant.namespace)
        return judge(one.row, one.tenant, sights=self._sights, policy=policy, now=now).decision


def _reason(decision: Decision) -> str:
    """Return why it ends; what only waits for a list ends soon."""
    over = [claim.detail for claim in decision.claims if not claim.holds and claim.kind != "age"]
    waits = [claim.detail for claim in decision.claims if claim.holds]
    return "; ".join([*over, *waits])


def as_sweep(ended: Sequence[Ended], removed: Sequence[Doomed], *, dry_run: bool) -> Sweep:
    """Return what the API says of a sweep."""
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
        blobs=tuple(SweptBlob(digest=blob.digest, size=blob.size, reason=blob.reason) for blob in removed),
        freed=sum(blob.size for blob in removed),
    )
