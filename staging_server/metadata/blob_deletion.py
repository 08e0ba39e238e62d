"""How a blob goes: from its tenants first, then its bytes, and a concurrent create is never answered wrongly.

    give up          a tenant's claim on an unused blob ends; with the last one, `unused_since` is set
    mark deleting    its grace over, the row is locked, looked at again, and set to `deleting`; that is committed
    (bytes)          removed outside of any transaction
    forget           the row goes, or becomes `wanted` where a bundle named the digest meanwhile

Each look comes in a statement of its own after the lock.  At READ COMMITTED a statement that waits for a lock would
otherwise judge by what it saw before it waited, and delete a blob that a create has just answered as held.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Connection, and_, bindparam, case, delete, exists, null, or_, select, update

from staging_protocol.digests import Digest
from staging_server.audit import SWEEPER, Entry, append
from staging_server.metadata.blob_candidates import Doomed, Why
from staging_server.metadata.leases import SweepLease, require
from staging_server.metadata.tables import DELETING, STORED, WANTED, blobs, bundle_files, bundles, tenant_blobs, tenants
from staging_server.times import micros

_LOCK: Final = select(blobs).where(blobs.c.digest == bindparam("of_digest")).with_for_update()

_USED_BY_TENANT: Final = exists().where(
    and_(
        bundle_files.c.digest == tenant_blobs.c.digest,
        bundle_files.c.bundle == bundles.c.number,
        bundles.c.tenant_id == tenant_blobs.c.tenant_id,
    )
)
_USED_NOW: Final = select(_USED_BY_TENANT).where(
    tenant_blobs.c.tenant_id == bindparam("of_tenant"), tenant_blobs.c.digest == bindparam("of_digest")
)
_GIVE_UP: Final = delete(tenant_blobs).where(
    tenant_blobs.c.tenant_id == bindparam("of_tenant"),
    tenant_blobs.c.digest == bindparam("of_digest"),
    tenant_blobs.c.last_used <= bindparam("unused_until"),
)
_STILL_USED: Final = (
    update(tenant_blobs)
    .where(tenant_blobs.c.tenant_id == bindparam("of_tenant"), tenant_blobs.c.digest == bindparam("of_digest"))
    .values(last_used=bindparam("now"))
)
_LAST_GAVE_UP: Final = (
    update(blobs)
    .where(
        blobs.c.digest == bindparam("of_digest"),
        blobs.c.state == STORED,
        ~exists().where(tenant_blobs.c.digest == blobs.c.digest),
    )
    .values(unused_since=bindparam("now"), given_up=bindparam("why"))
)
_COUNT: Final = (
    update(tenants)
    .where(tenants.c.id == bindparam("of_tenant"))
    .values(blobs=tenants.c.blobs - 1, blob_size=tenants.c.blob_size - bindparam("gone"))
)
_OLDEST_UNUSED: Final = (
    select(tenant_blobs.c.tenant_id, tenant_blobs.c.digest, tenant_blobs.c.last_used, blobs.c.size)
    .join(blobs, blobs.c.digest == tenant_blobs.c.digest)
    .where(tenant_blobs.c.tenant_id == bindparam("of_tenant"), ~_USED_BY_TENANT)
    .order_by(tenant_blobs.c.last_used)
    .limit(10_000)
)
_NEEDED: Final = select(
    or_(
        exists().where(tenant_blobs.c.digest == bindparam("of_digest")),
        exists().where(bundle_files.c.digest == bindparam("of_digest")),
    )
)
_NAMED: Final = select(exists().where(bundle_files.c.digest == bindparam("of_digest")))
_SET_DELETING: Final = (
    update(blobs).where(blobs.c.digest == bindparam("of_digest")).values(state=DELETING, unused_since=None)
)
_POSTPONE: Final = (
    update(blobs)
    .where(blobs.c.digest == bindparam("of_digest"))
    # Without a tenant that could give it up later, somebody has to look again.
    .values(
        unused_since=case(
            (exists().where(tenant_blobs.c.digest == blobs.c.digest), null()), else_=bindparam("now", type_=BigInteger)
        )
    )
)
_SET_WANTED: Final = (
    update(blobs).where(blobs.c.digest == bindparam("of_digest")).values(state=WANTED, key=None, size=None)
)
_DELETE: Final = delete(blobs).where(blobs.c.digest == bindparam("of_digest"))


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """A tenant's claim on a blob that it has not used since `unused_until`."""

    tenant_id: int
    digest: Digest
    unused_until: datetime
    now: datetime
    lease: SweepLease | None
    why: Why = Why.KEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobStep:
    """One step of deleting `blob`, by the holder of `lease`; what is unused since before `unused_until` may go."""

    blob: Doomed
    unused_until: datetime
    now: datetime
    lease: SweepLease


def give_up(connection: Connection, claim: GiveUp) -> bool:
    """End a tenant's claim, unless a bundle of it has the blob; that counts as a use now, so nobody asks again soon."""
    if claim.lease is not None:
        require(connection, claim.lease)
    return _give_up(connection, claim)


def give_up_unused(connection: Connection, *, tenant_id: int, at_least: int, now: datetime) -> None:
    """Give up unused blobs of a tenant, the longest unused first, until `at_least` bytes are free or none is left."""
    freed = 0
    for row in connection.execute(_OLDEST_UNUSED, {"of_tenant": tenant_id}).all():
        if freed >= at_least:
            return
        claim = GiveUp(
            tenant_id=tenant_id, digest=Digest(row.digest), unused_until=now, now=now, lease=None, why=Why.QUOTA
        )
        freed += row.size if _give_up(connection, claim) else 0


def mark_deleting(connection: Connection, step: BlobStep) -> bool:
    """Lock the blob, look again, and set it to `deleting`; False when somebody needs it after all."""
    require(connection, step.lease)
    of_digest = {"of_digest": str(step.blob.digest)}
    row = connection.execute(_LOCK, of_digest).one_or_none()
    if row is None or row.state != STORED or row.unused_since is None:
        return False
    if row.unused_since >= micros(step.unused_until):
        return False
    if connection.execute(_NEEDED, of_digest).scalar_one():
        connection.execute(_POSTPONE, {**of_digest, "now": micros(step.now)})
        return False
    connection.execute(_SET_DELETING, of_digest)
    return True


def forget(connection: Connection, step: BlobStep) -> bool:
    """Remove the row of a blob whose bytes are gone, or make it `wanted` where a bundle names it again.

    Returns:
        False when an upload was faster and the blob lives again under another key.
    """
    require(connection, step.lease)
    of_digest = {"of_digest": str(step.blob.digest)}
    row = connection.execute(_LOCK, of_digest).one_or_none()
    if row is None or row.state != DELETING or row.key != step.blob.key:
        return False
    named = connection.execute(_NAMED, of_digest).scalar_one()
    connection.execute(_SET_WANTED if named else _DELETE, of_digest)
    append(connection, [_entry(step)])
    return True


def forget_wanted(connection: Connection, step: tuple[Digest, SweepLease]) -> bool:
    """Remove the row of a digest that no bundle names any more and whose bytes never came."""
    digest, lease = step
    require(connection, lease)
    of_digest = {"of_digest": str(digest)}
    row = connection.execute(_LOCK, of_digest).one_or_none()
    if row is None or row.state != WANTED or connection.execute(_NAMED, of_digest).scalar_one():
        return False
    connection.execute(_DELETE, of_digest)
    return True


def _give_up(connection: Connection, claim: GiveUp) -> bool:
    of_digest = {"of_digest": str(claim.digest)}
    of_claim = {"of_tenant": claim.tenant_id, **of_digest}
    blob = connection.execute(_LOCK, of_digest).one()
    if connection.execute(_USED_NOW, of_claim).scalar():
        connection.execute(_STILL_USED, {**of_claim, "now": micros(claim.now)})
        return False
    given = connection.execute(_GIVE_UP, {**of_claim, "unused_until": micros(claim.unused_until)}).rowcount
    if given:
        connection.execute(_COUNT, {"of_tenant": claim.tenant_id, "gone": blob.size})
        connection.execute(_LAST_GAVE_UP, {**of_digest, "now": micros(claim.now), "why": claim.why.value})
    return bool(given)


def _entry(step: BlobStep) -> Entry:
    return Entry(
        at=step.now,
        action="blob.delete",
        caller=SWEEPER,
        subject=step.blob.digest,
        detail=f"{step.blob.size} bytes freed: {step.blob.reason}",
    )
