"""Changes of one bundle: seal, bind, lease, pin, tokens, activity, reports.  Each locks the row, looks, and writes.

Whatever may change how long the bundle lives sets `next_check` again: the moment at which the sweep looks at it.
Activity does not, because it can only make the life longer: the sweep finds that out when it looks.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from staging_protocol.api.bundles import BundleState, Pin
from staging_protocol.api.reports import Report
from staging_protocol.counted import counted
from staging_protocol.errors import FilesMissing
from staging_protocol.owners import OwnerReference
from staging_protocol.wire import encode
from staging_server.audit import Entry, append
from staging_server.metadata.lives import look_at, rebind, remembered
from staging_server.metadata.numbers import next_number
from staging_server.metadata.rows import AnyRow, BundleAt, lock_bundle
from staging_server.metadata.tables import bundle_files, bundles, pins, reports, tenant_blobs, tenants
from staging_server.retention.deciding import decide
from staging_server.retention.policies import Policy
from staging_server.tenants import Caller
from staging_server.times import maybe_micros, micros

_UPDATE: Final = update(bundles).where(bundles.c.number == bindparam("of_bundle"))
_SEAL: Final = _UPDATE.values(state=BundleState.SEALED.value, reserved=0, last_activity_at=bindparam("now"))
_RELEASE: Final = (
    update(tenants)
    .where(tenants.c.id == bindparam("of_tenant"))
    .values(reserved=tenants.c.reserved - bindparam("released"))
)
_MISSING: Final = (
    select(bundle_files.c.kind, bundle_files.c.name)
    .outerjoin(
        tenant_blobs,
        (tenant_blobs.c.digest == bundle_files.c.digest) & (tenant_blobs.c.tenant_id == bindparam("of_tenant")),
    )
    .where(bundle_files.c.bundle == bindparam("of_bundle"), tenant_blobs.c.digest.is_(None))
    .order_by(bundle_files.c.kind, bundle_files.c.name)
)
_BIND: Final = _UPDATE.values(owner=bindparam("new_owner"))
_LEASE: Final = _UPDATE.values(lease_until=bindparam("new_until"))
_UNPIN: Final = delete(pins).where(pins.c.bundle == bindparam("of_bundle"))
_PIN: Final = insert(pins)
_ROTATE: Final = _UPDATE.values(
    old_token_hash=bundles.c.token_hash,
    old_token_until=bindparam("valid_until"),
    token_hash=bindparam("new_hash"),
    token_used=False,
)
_USED: Final = (
    update(bundles)
    .where(bundles.c.number == bindparam("of_bundle"), bundles.c.token_hash == bindparam("of_hash"))
    .values(token_used=True)
)
_REPORT: Final = insert(reports)
_FIRST_KEPT: Final = (
    select(reports.c.number)
    .where(reports.c.bundle == bindparam("of_bundle"))
    .order_by(reports.c.number.desc())
    .offset(bindparam("kept"))
    .limit(1)
)
_DROP_REPORTS: Final = delete(reports).where(
    reports.c.bundle == bindparam("of_bundle"), reports.c.number <= bindparam("up_to")
)
_ACTIVE: Final = _UPDATE.where(bundles.c.last_activity_at < bindparam("now")).values(last_activity_at=bindparam("now"))
_FIND: Final = select(bundles.c.number).where(bundles.c.id == bindparam("bundle_id"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Who changes which bundle, when, and by what policy its life is judged."""

    at: BundleAt
    caller: Caller
    now: datetime
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """A bundle was used; `reads` counts requests for its files and `size` the bytes sent to `caller`."""

    at: BundleAt
    last: datetime
    caller: Caller | None = None
    reads: int = 0
    size: int = 0


def seal(connection: Connection, change: Change) -> AnyRow:
    """Close a bundle to further files; harmless when it is sealed.

    Raises:
        FilesMissing: the tenant does not have all of its blobs.
    """
    row = lock_bundle(connection, change.at)
    if row.state == BundleState.SEALED:
        return row
    missing = connection.execute(_MISSING, {"of_bundle": row.number, "of_tenant": row.tenant_id}).all()
    if missing:
        names = tuple(f"{file.kind}/{file.name}" for file in missing)
        msg = f"{len(names)} files of the bundle are not staged yet"
        raise FilesMissing(msg, missing=names)
    connection.execute(_RELEASE, {"of_tenant": row.tenant_id, "released": row.reserved})
    connection.execute(_SEAL, {"of_bundle": row.number, "now": micros(change.now)})
    return _changed(connection, change, "bundle.seal")


def bind(connection: Connection, item: tuple[Change, OwnerReference]) -> AnyRow:
    """Name the owner of a bundle, in place of an earlier one."""
    change, owner = item
    row = lock_bundle(connection, change.at)
    connection.execute(_BIND, {"of_bundle": row.number, "new_owner": encode(owner).decode()})
    rebind(connection, row, owner)
    bound = _changed(connection, change, "bundle.bind", detail=str(owner))
    # It may be there already, and then no event will tell.
    look_at(connection, bound, change.now)
    return bound


def lease(connection: Connection, item: tuple[Change, datetime]) -> AnyRow:
    """Hold a bundle until a moment, in place of an earlier lease."""
    change, until = item
    row = lock_bundle(connection, change.at)
    connection.execute(_LEASE, {"of_bundle": row.number, "new_until": micros(until)})
    return _changed(connection, change, "bundle.lease", detail=f"until {until:%Y-%m-%d %H:%M:%SZ}")


def pin(connection: Connection, item: tuple[Change, Pin]) -> AnyRow:
    """Hold a bundle with a reason, in place of an earlier pin."""
    change, held = item
    row = lock_bundle(connection, change.at)
    connection.execute(_UNPIN, {"of_bundle": row.number})
    connection.execute(_PIN, {"bundle": row.number, "reason": held.reason, "until": maybe_micros(held.until)})
    return _changed(connection, change, "bundle.pin", detail=held.reason)


def unpin(connection: Connection, change: Change) -> AnyRow:
    """Take the pin away; harmless when there is none."""
    row = lock_bundle(connection, change.at)
    connection.execute(_UNPIN, {"of_bundle": row.number})
    return _changed(connection, change, "bundle.unpin")


def rotate_token(connection: Connection, item: tuple[Change, str, timedelta]) -> datetime:
    """Give a bundle a new token, by its hash; return until when the old one stays valid."""
    change, new_hash, overlap = item
    row = lock_bundle(connection, change.at)
    valid_until = change.now + overlap
    connection.execute(_ROTATE, {"of_bundle": row.number, "new_hash": new_hash, "valid_until": micros(valid_until)})
    append(connection, [_entry(change, "bundle.token")])
    return valid_until


def note_token_used(connection: Connection, item: tuple[int, str]) -> None:
    """Remember that a bundle's present token has reached somebody."""
    number, token_hash = item
    connection.execute(_USED, {"of_bundle": number, "of_hash": token_hash})


def add_report(connection: Connection, item: tuple[Change, Report, int]) -> None:
    """Keep a report with its bundle, and only so many of them."""
    change, report, kept = item
    row = lock_bundle(connection, change.at)
    now = micros(change.now)
    connection.execute(
        _REPORT, {"number": next_number(now), "bundle": row.number, "received_at": now, "body": encode(report)}
    )
    too_old = connection.execute(_FIRST_KEPT, {"of_bundle": row.number, "kept": kept}).scalar()
    if too_old is not None:
        connection.execute(_DROP_REPORTS, {"of_bundle": row.number, "up_to": too_old})
    connection.execute(_ACTIVE, {"of_bundle": row.number, "now": now})


def note_activity(connection: Connection, activity: Activity) -> None:
    """Renew a bundle's life and write what was read; a bundle that ended meanwhile keeps its audit row only."""
    number = connection.execute(_FIND, activity.at.parameters).scalar()
    if number is not None:
        connection.execute(_ACTIVE, {"of_bundle": number, "now": micros(activity.last)})
    if activity.caller is None:
        return
    entry = Entry(
        at=activity.last,
        action="bundle.read",
        caller=activity.caller,
        namespace=activity.at.tenant.namespace,
        subject=activity.at.id,
        detail=f"{counted(activity.reads, 'request')}, {counted(activity.size, 'byte')}",
    )
    append(connection, [entry])


def reschedule(connection: Connection, row: AnyRow, *, policy: Policy, now: datetime) -> None:
    """Set when the sweep looks at the bundle of `row` again, by what is remembered of it."""
    look_at(connection, row, decide(remembered(row), policy, now).look_at)


def _changed(connection: Connection, change: Change, action: str, *, detail: str | None = None) -> AnyRow:
    row = lock_bundle(connection, change.at)
    reschedule(connection, row, policy=change.policy, now=change.now)
    append(connection, [_entry(change, action, detail=detail)])
    return row


def _entry(change: Change, action: str, *, detail: str | None = None) -> Entry:
    return Entry(
        at=change.now,
        action=action,
        caller=change.caller,
        namespace=change.at.tenant.namespace,
        subject=change.at.id,
        detail=detail,
    )
