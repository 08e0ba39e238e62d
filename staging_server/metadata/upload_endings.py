"""How uploads in parts end: cancelled by their client, or abandoned; and which bytes are still waited for.

An upload ends in two steps.  `ended` is committed first, and from then on nobody finds it; then the bytes go, and the
row goes last (`arrivals.end_upload`).  A sweep does what a crash left of that.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, select

from staging_protocol.uploads import UploadId
from staging_server.audit import Entry, append
from staging_server.blobs.base import BlobKey
from staging_server.metadata.leases import SweepLease, require
from staging_server.metadata.partial_indexes import UPLOAD_HAS_ENDED
from staging_server.metadata.resumption import LOCKED, SET_STATE, UploadAt, unknown
from staging_server.metadata.rows import AnyRow
from staging_server.metadata.tables import ENDED, OPEN, tenants, uploads
from staging_server.tenants import Caller
from staging_server.times import micros

_IDLE: Final = (
    select(uploads.c.id)
    .where(uploads.c.last_activity_at <= bindparam("until"), uploads.c.state != ENDED)
    .order_by(uploads.c.last_activity_at)
    .limit(bindparam("at_most"))
)
_IDLE_LOCKED: Final = (
    select(uploads, tenants.c.namespace)
    .join(tenants, tenants.c.id == uploads.c.tenant_id)
    .where(
        uploads.c.id == bindparam("upload"),
        uploads.c.last_activity_at <= bindparam("until"),
        uploads.c.state != ENDED,
    )
    .with_for_update(of=uploads)
)
_ENDED: Final = select(uploads.c.id, uploads.c.key).where(UPLOAD_HAS_ENDED).limit(bindparam("at_most"))
_WAITING: Final = select(uploads.c.id).where(
    uploads.c.id.in_(bindparam("some", expanding=True)), uploads.c.state == OPEN
)
_KEY_OF_OPEN: Final = select(uploads.c.key).where(uploads.c.id == bindparam("upload"), uploads.c.state == OPEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Who ends an upload; `anybody` allows it for uploads of others."""

    at: UploadAt
    caller: Caller
    anybody: bool
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """An upload that may be abandoned: nothing came since `until`."""

    id: UploadId
    until: datetime
    now: datetime
    caller: Caller
    lease: SweepLease


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """An upload that ended, and where its bytes may be."""

    id: UploadId
    key: BlobKey


def cancel(connection: Connection, item: Cancel) -> Ending:
    """End an upload because its client says so.

    Raises:
        NotFound: as `take`.
    """
    row = connection.execute(LOCKED, item.at.parameters).one_or_none()
    if row is None or not (item.anybody or row.created_by == item.caller.name):
        raise unknown()
    connection.execute(SET_STATE, {"upload": row.id, "new_state": ENDED})
    append(connection, [_ended(row, "upload.cancel", item.caller, item.now, namespace=item.at.tenant.namespace)])
    return Ending(id=item.at.id, key=BlobKey(row.key))


def expire(connection: Connection, item: Idle) -> bool:
    """End an upload that was abandoned; False when it was not after all."""
    require(connection, item.lease)
    row = connection.execute(_IDLE_LOCKED, {"upload": str(item.id), "until": micros(item.until)}).one_or_none()
    if row is None:
        return False
    connection.execute(SET_STATE, {"upload": row.id, "new_state": ENDED})
    if row.state == OPEN:
        append(connection, [_ended(row, "upload.expire", item.caller, item.now, namespace=row.namespace)])
    return True


def find_idle(connection: Connection, item: tuple[datetime, int]) -> list[UploadId]:
    """Return uploads to which nothing happened since, the longest idle first: a query."""
    until, at_most = item
    rows = connection.execute(_IDLE, {"until": micros(until), "at_most": at_most})
    return [UploadId(row.id) for row in rows]


def find_ended(connection: Connection, at_most: int) -> list[Ending]:
    """Return uploads that ended and whose bytes may still be there: a query."""
    rows = connection.execute(_ENDED, {"at_most": at_most})
    return [Ending(id=UploadId(row.id), key=BlobKey(row.key)) for row in rows]


def find_waiting(connection: Connection, some: list[UploadId]) -> frozenset[UploadId]:
    """Return those of `some` that wait for their next part: a query."""
    rows = connection.execute(_WAITING, {"some": [str(upload) for upload in some]})
    return frozenset(UploadId(row.id) for row in rows)


def is_expected(connection: Connection, key: BlobKey) -> bool:
    """Tell whether an open upload may have its bytes under `key`, because its last step was cut short."""
    return connection.execute(_KEY_OF_OPEN, {"upload": key.upload}).scalar() == str(key)


def _ended(row: AnyRow, action: str, caller: Caller, now: datetime, *, namespace: str) -> Entry:
    return Entry(
        at=now,
        action=action,
        caller=caller,
        namespace=namespace,
        subject=row.id,
        detail=f"{row.digest}, {row.arrived} of {row.size} bytes had come",
    )
