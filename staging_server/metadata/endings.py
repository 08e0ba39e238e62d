"""The end of a bundle: its rows go, a tombstone stays, and its blobs begin to wait for their next use."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from staging_protocol.counted import counted
from staging_protocol.tokens import BundleId
from staging_server.audit import Entry, append
from staging_server.metadata.changes import Change
from staging_server.metadata.rows import AnyRow, lock_bundle
from staging_server.metadata.tables import bundle_files, bundles, tenant_blobs, tenants, tombstones
from staging_server.tenants import Caller
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A bundle that ended, or in a dry run would end."""

    id: BundleId
    namespace: str
    application: str
    size: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What is written of an end, and by whom."""

    caller: Caller
    now: datetime
    action: str
    reason: str


def delete_bundle(connection: Connection, change: Change) -> Ended:
    """End a bundle because its submitter says so."""
    row = lock_bundle(connection, change.at)
    reason = f"deleted by {change.caller.name}"
    return end(connection, row, End(caller=change.caller, now=change.now, action="bundle.delete", reason=reason))


def end(connection: Connection, row: AnyRow, how: End) -> Ended:
    """End the bundle of a row that is locked."""
    now = micros(how.now)
    of_bundle = {"of_bundle": row.number, "of_tenant": row.tenant_id, "now": now}
    hashes = connection.execute(_HASHES, of_bundle).one()
    connection.execute(
        _TOMBSTONE,
        {"id": row.id, "tenant_id": row.tenant_id, "ended_at": now, "reason": how.reason, **hashes._asdict()},
    )
    connection.execute(_LAST_USE, of_bundle)
    connection.execute(_DELETE, of_bundle)
    connection.execute(_COUNT, {**of_bundle, "gone": row.size, "released": row.reserved})
    entry = Entry(
        at=how.now,
        action=how.action,
        caller=how.caller,
        namespace=row.namespace,
        subject=row.id,
        detail=f"{how.reason} ({counted(row.size, 'byte')} in {counted(row.files, 'file')} given up)",
    )
    append(connection, [entry])
    return ended_of(row, reason=how.reason)


def ended_of(row: AnyRow, *, reason: str) -> Ended:
    """Return what is told of the end of the bundle of a row."""
    return Ended(
        id=BundleId(row.id), namespace=row.namespace, application=row.application, size=row.size, reason=reason
    )
