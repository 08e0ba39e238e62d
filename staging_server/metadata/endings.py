"""The end of a bundle: its rows go, a tombstone stays, and its blobs begin to wait for their next use."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from staging_protocol.tokens import BundleId
from staging_server.audit import Entry, append
from staging_server.metadata.changes import Change, reschedule
from staging_server.metadata.leases import SweepLease, require
from staging_server.metadata.rows import COLUMNS, JOINED, AnyRow, facts_of, lock_bundle
from staging_server.metadata.tables import bundle_files, bundles, tenant_blobs, tenants, tombstones
from staging_server.retention import decide
from staging_server.tenants import Tenant
from staging_server.times import micros

_HASHES: Final = select(bundles.c.token_hash, bundles.c.old_token_hash, bundles.c.old_token_until).where(
    bundles.c.number == bindparam("of_bundle")
)
_TOMBSTONE: Final = insert(tombstones)
_LAST_USE: Final = (
    update(tenant_blobs)
    .where(
        tenant_blobs.c.tenant_id == bindparam("of_tenant"),
        tenant_blobs.c.digest.in_(select(bundle_files.c.digest).where(bundle_files.c.bundle == bindparam("of_bundle"))),
        tenant_blobs.c.last_used < bindparam("now"),
    )
    .values(last_used=bindparam("now"))
)
_DELETE: Final = delete(bundles).where(bundles.c.number == bindparam("of_bundle"))
_COUNT: Final = (
    update(tenants)
    .where(tenants.c.id == bindparam("of_tenant"))
    .values(
        bundles=tenants.c.bundles - 1,
        bundle_size=tenants.c.bundle_size - bindparam("gone"),
        reserved=tenants.c.reserved - bindparam("released"),
    )
)
_DUE: Final = (
    select(*COLUMNS, tenants.c.cluster, tenants.c.uid)
    .select_from(JOINED)
    .where(bundles.c.next_check <= bindparam("now"))
    .order_by(bundles.c.next_check)
    .limit(bindparam("at_most"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A bundle that the sweep has to look at; `row` has `rows.COLUMNS`."""

    tenant: Tenant
    id: BundleId
    row: AnyRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A bundle that ended, or in a dry run would end."""

    id: BundleId
    namespace: str
    application: str
    size: int
    reason: str


def find_candidates(connection: Connection, item: tuple[datetime, int]) -> list[Candidate]:
    """Return bundles whose life may be over, the longest overdue first: a query."""
    now, at_most = item
    rows = connection.execute(_DUE, {"now": micros(now), "at_most": at_most})
    return [
        Candidate(
            tenant=Tenant(cluster=row.cluster, namespace=row.namespace, uid=row.uid), id=BundleId(row.id), row=row
        )
        for row in rows
    ]


def delete_bundle(connection: Connection, change: Change) -> Ended:
    """End a bundle because its submitter says so."""
    row = lock_bundle(connection, change.at)
    return _end(connection, change, row, action="bundle.delete", reason=f"deleted by {change.caller.name}")


def expire_bundle(connection: Connection, item: tuple[Change, SweepLease]) -> Ended | None:
    """End a bundle that no claim keeps; one that is kept is only looked at again later, and None returned."""
    change, lease = item
    require(connection, lease)
    row = lock_bundle(connection, change.at)
    decision = decide(facts_of(row), change.policy, change.now)
    if decision.keep:
        reschedule(connection, row, policy=change.policy, now=change.now)
        return None
    return _end(connection, change, row, action="bundle.expire", reason=decision.reason)


def _end(connection: Connection, change: Change, row: AnyRow, *, action: str, reason: str) -> Ended:
    now = micros(change.now)
    of_bundle = {"of_bundle": row.number, "of_tenant": row.tenant_id, "now": now}
    hashes = connection.execute(_HASHES, of_bundle).one()
    connection.execute(
        _TOMBSTONE,
        {"id": row.id, "tenant_id": row.tenant_id, "ended_at": now, "reason": reason, **hashes._asdict()},
    )
    connection.execute(_LAST_USE, of_bundle)
    connection.execute(_DELETE, of_bundle)
    connection.execute(_COUNT, {**of_bundle, "gone": row.size, "released": row.reserved})
    entry = Entry(
        at=change.now,
        action=action,
        caller=change.caller,
        namespace=row.namespace,
        subject=row.id,
        detail=f"{reason} ({row.size} bytes in {row.files} files given up)",
    )
    append(connection, [entry])
    return Ended(
        id=BundleId(row.id), namespace=row.namespace, application=row.application, size=row.size, reason=reason
    )
